//! Decides which keys are for the window itself.
//!
//! Programs may want keys too. While one listens, the window keeps those that programs seldom use: F11, and the others
//! with Ctrl and Alt.

use winit::keyboard::{Key, KeyCode, ModifiersState, NamedKey, PhysicalKey};

/// What a key makes the window do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    ToggleFullscreen,
    ToggleOverlay,
    /// Saves the picture of the display.
    Save,
    /// Closes the window, as its user does with the mouse.
    Quit,
}

/// Returns what a key that was pressed makes the window do; `None` if it is not for the window.
///
/// `key` is what the layout of the keyboard has there without modifiers, and `place` is where it is on the keyboard: it
/// counts where the layout has no Latin letters.
pub(super) fn command(
    key: &Key,
    place: PhysicalKey,
    modifiers: ModifiersState,
    is_anyone_listening: bool,
) -> Option<Command> {
    const CTRL: ModifiersState = ModifiersState::CONTROL;
    const CTRL_ALT: ModifiersState = CTRL.union(ModifiersState::ALT);
    if let Key::Named(name) = key {
        return match name {
            NamedKey::F11 if modifiers.is_empty() => Some(Command::ToggleFullscreen),
            NamedKey::F1 if modifiers.is_empty() && !is_anyone_listening => Some(Command::ToggleOverlay),
            _ => None,
        };
    }
    let is_ours = modifiers == CTRL_ALT || modifiers == CTRL && !is_anyone_listening;
    match letter(key, place).filter(|_| is_ours)? {
        'h' if modifiers == CTRL_ALT => Some(Command::ToggleOverlay),
        'q' => Some(Command::Quit),
        's' => Some(Command::Save),
        _ => None,
    }
}

/// Returns the lower-case Latin letter of a key.
fn letter(key: &Key, place: PhysicalKey) -> Option<char> {
    let Key::Character(text) = key else { return None };
    match text.chars().next()? {
        letter if letter.is_ascii() => Some(letter.to_ascii_lowercase()),
        _ => match place {
            PhysicalKey::Code(KeyCode::KeyH) => Some('h'),
            PhysicalKey::Code(KeyCode::KeyQ) => Some('q'),
            PhysicalKey::Code(KeyCode::KeyS) => Some('s'),
            _ => None,
        },
    }
}

/// Returns the keys of the window and what they do, for its user.
pub(super) fn keys(is_anyone_listening: bool) -> &'static [(&'static str, &'static str)] {
    if is_anyone_listening {
        &[
            ("Ctrl-Alt-H", "hides this"),
            ("F11", "fills the screen"),
            ("Ctrl-Alt-S", "saves the picture"),
            ("Ctrl-Alt-Q", "closes the window"),
        ]
    } else {
        &[
            ("F1", "hides this"),
            ("F11", "fills the screen"),
            ("Ctrl-S", "saves the picture"),
            ("Ctrl-Q", "closes the window"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use winit::keyboard::{NativeKeyCode, SmolStr};

    const NONE: ModifiersState = ModifiersState::empty();
    const CTRL: ModifiersState = ModifiersState::CONTROL;
    const ALT: ModifiersState = ModifiersState::ALT;
    const SHIFT: ModifiersState = ModifiersState::SHIFT;
    const SUPER: ModifiersState = ModifiersState::SUPER;
    const UNKNOWN: PhysicalKey = PhysicalKey::Unidentified(NativeKeyCode::Unidentified);

    fn character(text: &str) -> Key {
        Key::Character(SmolStr::new(text))
    }

    /// Returns what a key does: while no program listens, and while one does.
    fn of(key: &Key, modifiers: ModifiersState) -> [Option<Command>; 2] {
        [false, true].map(|is_anyone_listening| command(key, UNKNOWN, modifiers, is_anyone_listening))
    }

    #[test]
    fn f11_is_always_for_the_window() {
        let f11 = Key::Named(NamedKey::F11);
        assert_eq!(of(&f11, NONE), [Some(Command::ToggleFullscreen); 2]);
        for modifiers in [CTRL, ALT, SHIFT, SUPER, CTRL | ALT] {
            assert_eq!(of(&f11, modifiers), [None; 2], "{modifiers:?}");
        }
    }

    #[test]
    fn f1_and_ctrl_alt_h_are_for_the_overlay() {
        assert_eq!(of(&Key::Named(NamedKey::F1), NONE), [Some(Command::ToggleOverlay), None]);
        assert_eq!(of(&Key::Named(NamedKey::F1), CTRL), [None; 2]);
        assert_eq!(of(&character("h"), CTRL | ALT), [Some(Command::ToggleOverlay); 2]);
        assert_eq!(of(&character("h"), CTRL), [None; 2]);
    }

    #[test]
    fn the_keys_that_are_listed_are_for_the_window() {
        for is_anyone_listening in [false, true] {
            let commands: Vec<_> = keys(is_anyone_listening)
                .iter()
                .map(|(name, _)| {
                    let modifiers = if name.starts_with("Ctrl-Alt-") {
                        CTRL | ALT
                    } else if name.starts_with("Ctrl-") {
                        CTRL
                    } else {
                        NONE
                    };
                    let key = match name.rsplit('-').next().unwrap() {
                        "F1" => Key::Named(NamedKey::F1),
                        "F11" => Key::Named(NamedKey::F11),
                        letter => character(letter),
                    };
                    command(&key, UNKNOWN, modifiers, is_anyone_listening)
                })
                .collect();
            let wanted = [Command::ToggleOverlay, Command::ToggleFullscreen, Command::Save, Command::Quit];
            assert_eq!(commands, wanted.map(Some));
        }
    }

    #[test]
    fn letters_with_ctrl_are_for_programs_that_listen() {
        for (text, wanted) in [("q", Command::Quit), ("Q", Command::Quit), ("s", Command::Save)] {
            let key = character(text);
            assert_eq!(of(&key, CTRL), [Some(wanted), None], "{text}");
            assert_eq!(of(&key, CTRL | ALT), [Some(wanted); 2], "{text}");
        }
    }

    #[test]
    fn other_keys_are_not_for_the_window() {
        for modifiers in [NONE, ALT, SHIFT, SUPER, CTRL | SHIFT, CTRL | SUPER, CTRL | ALT | SHIFT] {
            assert_eq!(of(&character("q"), modifiers), [None; 2], "{modifiers:?}");
        }
        for key in [character("x"), character(""), Key::Named(NamedKey::F10), Key::Dead(Some('q'))] {
            for modifiers in [NONE, CTRL, CTRL | ALT] {
                assert_eq!(of(&key, modifiers), [None; 2], "{key:?} with {modifiers:?}");
            }
        }
    }

    #[test]
    fn without_latin_letters_the_place_on_the_keyboard_counts() {
        let place = |text, code| command(&character(text), PhysicalKey::Code(code), CTRL, false);
        assert_eq!(place("\u{439}", KeyCode::KeyQ), Some(Command::Quit), "a Russian layout");
        assert_eq!(place("\u{44b}", KeyCode::KeyS), Some(Command::Save), "a Russian layout");
        assert_eq!(place("\u{439}", KeyCode::KeyW), None);
        assert_eq!(place("a", KeyCode::KeyQ), None, "a French layout");
        assert_eq!(place("q", KeyCode::KeyA), Some(Command::Quit), "a French layout");
    }
}
