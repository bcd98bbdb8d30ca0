//! Chooses the window system. winit's event loop can be built only once in a process, even if building fails, so the window
//! system is chosen before.

use super::quiet::quiet;
use std::env;
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use winit::event_loop::{EventLoop, EventLoopBuilder};
use winit::platform::{wayland::EventLoopBuilderExtWayland, x11::EventLoopBuilderExtX11};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Wayland,
    X11,
}

/// Returns the name of the screen, for a sentence about it.
pub(super) fn place() -> String {
    let name = |variable| Some(format!("{variable}={}", set(variable)?.display()));
    name("WAYLAND_DISPLAY").or_else(|| name("DISPLAY")).unwrap_or_else(|| "the screen".to_owned())
}

/// Returns the value of an environment variable, unless it is empty.
fn set(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

/// Builds the event loop of the window system. Blocks until the screen answers, without a limit.
///
/// # Errors
/// A sentence that says why there is no screen.
pub(super) fn event_loop() -> Result<EventLoop<()>, String> {
    let (wayland, x11) = (set("WAYLAND_DISPLAY"), set("DISPLAY"));
    let has_socket = set("WAYLAND_SOCKET").is_some();
    let socket =
        wayland.as_ref().and_then(|name| socket(set("XDG_RUNTIME_DIR").map(PathBuf::from), name.as_ref()));
    let answers = has_socket || socket.is_some_and(|path| UnixStream::connect(path).is_ok());
    let system = match (answers, &x11, &wayland) {
        (true, ..) => System::Wayland,
        (false, Some(_), _) => System::X11,
        (false, None, Some(name)) => {
            return Err(format!("no Wayland compositor answers at WAYLAND_DISPLAY={}", name.display()));
        }
        (false, None, None) => return Err("neither WAYLAND_DISPLAY nor DISPLAY is set".to_owned()),
    };
    let place = match system {
        System::Wayland => "the Wayland compositor".to_owned(),
        System::X11 => format!("the X server at DISPLAY={}", x11.unwrap_or_default().display()),
    };
    let built = quiet(|| {
        let mut builder = EventLoop::<()>::with_user_event();
        on(system, &mut builder);
        builder.build()
    });
    match built {
        Ok(Ok(events)) => Ok(events),
        Ok(Err(winit::error::EventLoopError::RecreationAttempt)) => {
            Err("this process has already opened its windows once".to_owned())
        }
        // `Display` prints a line of winit's source; only `Debug` names the missing library.
        Ok(Err(error)) => Err(sentence(system, &place, &format!("{error:?}"))),
        Err(panic) => Err(sentence(system, &place, &panic)),
    }
}

fn on(system: System, builder: &mut EventLoopBuilder<()>) {
    // The windows have a thread of their own.
    match system {
        System::Wayland => EventLoopBuilderExtWayland::with_any_thread(builder.with_wayland(), true),
        System::X11 => EventLoopBuilderExtX11::with_any_thread(builder.with_x11(), true),
    };
}

/// Returns the path of the socket of the compositor `name`.
fn socket(directory: Option<PathBuf>, name: &Path) -> Option<PathBuf> {
    if name.is_absolute() { Some(name.to_owned()) } else { Some(directory?.join(name)) }
}

/// Returns why there is no event loop, given the text of an error.
fn sentence(system: System, place: &str, text: &str) -> String {
    // The packages of Debian 12.
    let packages = match system {
        System::Wayland => "libwayland-client0 libxkbcommon0",
        System::X11 => "libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon-x11-0",
    };
    match library(text) {
        Some(library) => format!("{library} cannot be loaded (on Debian, install {packages})"),
        // Its library prints the reason of a refusal and does not return it.
        None => match refusal(system) {
            Some(reason) => format!("{place} refuses the connection: {reason}"),
            None => format!("{place} does not answer"),
        },
    }
}

/// Returns why the window system refuses a connection, if it does.
fn refusal(system: System) -> Option<String> {
    match system {
        System::X11 => super::x11::refusal(),
        System::Wayland => None,
    }
}

/// Returns the first name of a shared library in a text.
fn library(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    text.split(|c| !is_part(c))
        .map(|word| word.trim_end_matches('.'))
        .find(|word| word.starts_with("lib") && word.contains(".so"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_library_is_named() {
        let opening = r#"Os(OsError { line: 81, error: XNotSupported(LibraryOpenError { kind: Library, detail: "opening
            library failed (libXcursor.so.1: cannot open shared object file: No such file)" }) })"#;
        assert_eq!(library(opening), Some("libXcursor.so.1"));
        assert_eq!(library("Library libxkbcommon-x11.so could not be loaded."), Some("libxkbcommon-x11.so"));
        assert_eq!(library("XOpenDisplayFailed at lib.rs"), None);
        let said = sentence(System::X11, "the X server at DISPLAY=:9", opening);
        assert!(said.starts_with("libXcursor.so.1 cannot be loaded") && said.contains("libxi6"), "{said}");
        let said = sentence(System::X11, "the X server at DISPLAY=:9", "XOpenDisplayFailed");
        assert_eq!(said, "the X server at DISPLAY=:9 does not answer");
    }

    #[test]
    fn a_socket_is_named_in_full_or_in_the_runtime_directory() {
        let directory = Some(PathBuf::from("/run/user/0"));
        assert_eq!(socket(directory.clone(), "wayland-1".as_ref()), Some("/run/user/0/wayland-1".into()));
        assert_eq!(socket(directory, "/tmp/w".as_ref()), Some("/tmp/w".into()));
        assert_eq!(socket(None, "wayland-1".as_ref()), None);
    }
}
