//! A display without a server that executes requests.

use crate::pictures::SIZE;
use display_server::{Damage, Framebuffer, Pointer, apply};
use draw_protocol::{Answer, Color, Fault, Request};

/// Pixels, a pointer, and the damage of the drawing side.
#[derive(Debug)]
pub struct Screen {
    /// The framebuffer.
    pub framebuffer: Framebuffer,
    /// Damage that is not published yet.
    pub damage: Damage,
    pointer: Pointer,
}

impl Screen {
    /// Creates a black screen of [`SIZE`].
    ///
    /// # Panics
    /// If there is no memory for it.
    pub fn new() -> Screen {
        let framebuffer = Framebuffer::new(SIZE, Color::BLACK).expect("a display of a common size");
        Screen { damage: framebuffer.no_damage(), framebuffer, pointer: Pointer::default() }
    }

    /// Executes a request.
    ///
    /// # Errors
    /// The error of [`apply`](apply()).
    #[inline]
    pub fn execute(&mut self, request: &Request<'_>) -> Result<Answer, Fault> {
        apply(request, &self.framebuffer, &self.pointer, &mut self.damage)
    }

    /// Publishes the damage, as a server does when it has executed the requests that it read.
    #[inline]
    pub fn publish(&mut self) {
        self.framebuffer.publish(&mut self.damage);
    }
}

impl Default for Screen {
    fn default() -> Screen {
        Screen::new()
    }
}
