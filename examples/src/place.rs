//! Chooses the display that an example draws on, and opens one if there is none.

use crate::{Interrupt, save, unreachable};
use display_server::{Handle, Options, with_display};
use draw_client::{Size, blocking};
use std::error::Error;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The requirements of an example for its display.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The address that the user named.
    pub display: Option<&'a str>,
    /// The size of a display that the program opens.
    pub size: Size,
    /// The file for the picture of a display that the program opens.
    pub output: &'a Path,
    /// Whether the program ends when its work is done, even if a window shows it.
    pub exit: bool,
    /// The work, in the passive: "the circle was drawn".
    pub done: &'static str,
    /// The consequence of a display that does not answer: "nothing was drawn".
    pub undone: &'static str,
}

impl Place<'_> {
    /// Calls `draw` with the address and a description of a display. The display is the one that the user named, or
    /// that of `DRAW_DISPLAY`, or the one at the default address; otherwise the program opens its own, in a window if
    /// there is a screen, saves its picture, and waits until the window is closed.
    ///
    /// # Errors
    /// If the display that was asked for does not answer; what `draw` returns; if the picture cannot be saved.
    pub fn draw(
        &self,
        interrupt: &Interrupt,
        draw: impl FnOnce(&str, &str) -> Result<()> + Send,
    ) -> Result<()> {
        let is_set = std::env::var_os(draw_client::DRAW_DISPLAY).is_some();
        let given = self.display.map(str::to_owned).or_else(|| is_set.then(draw_client::default_address));
        if let Some(address) = given {
            // The address was given explicitly: if no display answers there, that is an error.
            self.connecting(interrupt, &address);
            blocking::Display::connect(&address).map_err(|error| unreachable(&address, error))?.close()?;
            return draw(&address, &format!("on {address}"));
        }
        let default = draw_client::default_address();
        self.connecting(interrupt, &default);
        if let Ok(display) = blocking::Display::connect(&default) {
            display.close()?;
            return draw(&default, &format!("on the display at {default}"));
        }
        let options = Options { size: self.size, or_any_port: true, ..Options::default() };
        with_display(options, |own| self.draw_on_own(interrupt, own, draw))?
    }

    /// Sets the message of a signal from now on: the display did not answer.
    pub fn connecting(&self, interrupt: &Interrupt, address: &str) {
        let (address, undone) = (address.to_owned(), self.undone);
        interrupt.is_doing(move || format!("{address} did not answer as a display, and {undone}"));
    }

    fn draw_on_own(
        &self,
        interrupt: &Interrupt,
        own: &Handle,
        draw: impl FnOnce(&str, &str) -> Result<()>,
    ) -> Result<()> {
        let (address, done) = (own.address().to_string(), self.done);
        let place = if own.has_window() { "in a window" } else { "with no window" };
        match draw(&address, &format!("on {address}, a display of our own, {place}")) {
            Err(_) if own.is_closed() => return Err(format!("the window was closed before {done}").into()),
            drawn => drawn?,
        }
        interrupt.is_doing(move || format!("{done} and checked, and its picture was not saved"));
        let saved = save(own.display().framebuffer(), self.output, &format!("{done} and checked"));
        if saved.is_ok() {
            interrupt.is_closing();
            println!("the picture is in {}", self.output.display());
        }
        if own.has_window() && !self.exit {
            println!("close the window, or press Ctrl-C, to end");
            interrupt.closes(own);
            own.wait_closed();
        }
        Ok(saved?)
    }
}
