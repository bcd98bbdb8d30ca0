//! Opens the presenter of a window, and falls back to the next kind when one fails.

use super::presenter::{Frame, Presented, Presenter};
use super::{Present, software};
use draw_protocol::Size;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tracing::{info, warn};
use winit::window::Window;

/// Failures in a row after which the next kind of presenter takes over. A lost surface is restored by the first retry; further
/// retries fail in the same way.
const TRIES: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A GPU, but no processor in place of one.
    RealGpu,
    /// Any adapter of the graphics drivers, even a processor in place of a GPU.
    AnyGpu,
    Software,
}

type Opened = Result<Box<dyn Presenter>, String>;

/// The presenter of a window, and the kinds to fall back to when it fails.
pub(super) struct Presenters {
    /// The name of the window, for the log.
    name: String,
    /// Opens a presenter in a window of that size.
    open: Box<dyn Fn(Kind, Size) -> Opened>,
    /// The kinds that are left. The first is the current one.
    kinds: VecDeque<Kind>,
    current: Option<Box<dyn Presenter>>,
    failures: u32,
    /// Why the last kind could not be opened, or failed.
    reason: String,
}

impl Presenters {
    pub(super) fn new(window: Arc<Window>, name: &str, canvas: Size, present: Present) -> Presenters {
        Presenters::with(name, present, move |kind, size| open(kind, &window, size, canvas))
    }

    fn with(name: &str, present: Present, open: impl Fn(Kind, Size) -> Opened + 'static) -> Presenters {
        let kinds: &[Kind] = match present {
            Present::Auto => &[Kind::RealGpu, Kind::Software],
            Present::Gpu => &[Kind::AnyGpu, Kind::Software],
            Present::Software | Present::None => &[Kind::Software],
        };
        Presenters {
            name: name.to_owned(),
            open: Box::new(open),
            kinds: kinds.iter().copied().collect(),
            current: None,
            failures: 0,
            reason: String::new(),
        }
    }

    /// Returns why nothing can be presented, after [`present`](Presenters::present) has returned `None`.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// Presents a frame. Returns `None` if no kind of presenter is left.
    pub(super) fn present(&mut self, frame: &Frame<'_>) -> Option<Presented> {
        if self.current.is_none() {
            self.open(frame.layout.window)?;
        }
        let presenter = self.current.as_mut()?;
        // A bug of a driver may make the graphics library panic.
        let presented = catch_unwind(AssertUnwindSafe(|| presenter.present(frame)))
            .unwrap_or_else(|_| Err("it panicked".to_owned()));
        match presented {
            Ok(Presented::Shown) => self.failures = 0,
            Ok(Presented::Later) => {}
            Err(reason) => {
                self.failures += 1;
                warn!(window = self.name, "presenting with {} failed: {reason}", presenter.name());
                // Opened again with the next frame. If the window was destroyed, that event comes first.
                self.current = None;
                if self.failures >= TRIES {
                    self.failures = 0;
                    self.kinds.pop_front();
                    self.reason = reason;
                }
                return Some(Presented::Later);
            }
        }
        presented.ok()
    }

    /// Opens the first kind of presenter that works, and logs which it is and why the others do not.
    fn open(&mut self, size: Size) -> Option<()> {
        let mut why_not = String::new();
        while let Some(&kind) = self.kinds.front() {
            match (self.open)(kind, size) {
                Ok(presenter) => {
                    info!(window = self.name, "presenting with {}{why_not}", presenter.name());
                    self.current = Some(presenter);
                    return Some(());
                }
                Err(reason) => {
                    why_not = format!(": {reason}");
                    self.reason = reason;
                    self.kinds.pop_front();
                }
            }
        }
        None
    }
}

fn open(kind: Kind, window: &Arc<Window>, size: Size, canvas: Size) -> Opened {
    match kind {
        Kind::RealGpu => open_gpu(window, size, canvas, true),
        Kind::AnyGpu => open_gpu(window, size, canvas, false),
        Kind::Software => software::open(window, canvas),
    }
}

/// Opens a GPU, but with `only_real` no processor in place of one.
#[cfg(feature = "gpu")]
fn open_gpu(window: &Arc<Window>, size: Size, canvas: Size, only_real: bool) -> Opened {
    use super::{gpu::Gpu, quiet::quiet};
    Ok(Box::new(quiet(|| Gpu::open(window, size, canvas, only_real)).and_then(|opened| opened)?))
}

#[cfg(not(feature = "gpu"))]
fn open_gpu(_: &Arc<Window>, _: Size, _: Size, _: bool) -> Opened {
    Err("this program was built without the cargo feature `gpu`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::framebuffer::Framebuffer;
    use crate::window::layout::Layout;
    use draw_protocol::Color;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// What happened, and what is still to happen, one letter for each frame: `s`hown, `l`ater, `f`ailed, `p`anicked.
    type Story = Rc<RefCell<(Vec<String>, VecDeque<char>)>>;

    struct Scripted(Kind, Story);

    impl Presenter for Scripted {
        fn present(&mut self, _: &Frame<'_>) -> Result<Presented, String> {
            let next = self.1.borrow_mut().1.pop_front();
            match next {
                Some('s') => Ok(Presented::Shown),
                Some('l') => Ok(Presented::Later),
                Some('p') => std::panic::resume_unwind(Box::new("of a driver")),
                _ => Err("the GPU was lost".to_owned()),
            }
        }

        fn name(&self) -> String {
            format!("{:?}", self.0)
        }
    }

    /// Presents frame after frame as scripted, where the kinds in `missing` cannot be opened. Returns what was opened,
    /// and how each frame ended.
    fn run(
        present: Present,
        missing: &'static [Kind],
        script: &str,
    ) -> (Vec<String>, Vec<Option<Presented>>) {
        let story: Story = Rc::new(RefCell::new((Vec::new(), script.chars().collect())));
        let teller = Rc::clone(&story);
        let mut presenters = Presenters::with("a", present, move |kind, _| {
            if missing.contains(&kind) {
                return Err("there is none".to_owned());
            }
            teller.borrow_mut().0.push(format!("{kind:?}"));
            Ok(Box::new(Scripted(kind, Rc::clone(&teller))))
        });
        let size = Size { width: 1, height: 1 };
        let framebuffer = Framebuffer::new(size, Color::BLACK).unwrap();
        let (damage, layout) = (framebuffer.no_damage(), Layout::new(size, size));
        let frame = Frame { framebuffer: &framebuffer, damage: &damage, layout: &layout, is_whole: true };
        let outcomes: Vec<_> = script.chars().map(|_| presenters.present(&frame)).collect();
        if outcomes.last() == Some(&None) {
            assert!(["there is none", "the GPU was lost"].contains(&presenters.reason()));
        }
        let opened = story.borrow().0.clone();
        (opened, outcomes)
    }

    const SHOWN: Option<Presented> = Some(Presented::Shown);
    const LATER: Option<Presented> = Some(Presented::Later);

    #[test]
    fn what_cannot_be_opened_gives_way_to_the_next() {
        assert_eq!(run(Present::Auto, &[], "s"), (vec!["RealGpu".to_owned()], vec![SHOWN]));
        assert_eq!(run(Present::Gpu, &[], "s"), (vec!["AnyGpu".to_owned()], vec![SHOWN]));
        assert_eq!(run(Present::Auto, &[Kind::RealGpu], "s"), (vec!["Software".to_owned()], vec![SHOWN]));
        assert_eq!(run(Present::Software, &[], "s"), (vec!["Software".to_owned()], vec![SHOWN]));
        assert_eq!(run(Present::Software, &[Kind::Software], "ss"), (vec![], vec![None, None]));
    }

    #[test]
    fn a_presenter_that_fails_is_opened_anew_and_after_three_failures_in_a_row_given_up() {
        // A frame that failed is presented again, so nothing of the picture is lost.
        let (opened, outcomes) = run(Present::Gpu, &[], "sfslfpfs");
        assert_eq!(opened, ["AnyGpu", "AnyGpu", "AnyGpu", "AnyGpu", "Software"]);
        assert_eq!(outcomes, [SHOWN, LATER, SHOWN, LATER, LATER, LATER, LATER, SHOWN]);
        let (opened, outcomes) = run(Present::Software, &[], "fffs");
        assert_eq!(opened, ["Software"; 3]);
        assert_eq!(outcomes, [LATER, LATER, LATER, None]);
    }
}
