//! The columns of the table of calls: what a call does, and how clients and displays treat it because of that.
//!
//! Each row of [`calls!`](crate::calls) states its columns. Code asks a column, or a question derived from columns below, and
//! does not list methods: a new row then states what is true of it, and the code follows. Whether a call has an answer is a
//! column too: the group that its row stands in.

use super::{Method, Request};
use crate::table::Pixels;

/// What a call does to a display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It changes the picture. Executed twice, it may change it twice.
    Draw,
    /// It reads something and changes nothing.
    Read,
    /// It only waits for the calls before it.
    Barrier,
}

/// What a display that keeps a journal does with a request before it executes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JournalUse {
    /// It appends the request.
    Append,
    /// It appends nothing. The answer shows the picture, so what others have drawn is in the journal before it is sent.
    Observe,
    /// It appends nothing, and answers when everything before is on the disk.
    Flush,
    /// The request does not concern the journal.
    Skip,
}

/// How a client cuts a call that is too large for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// It is always one request.
    Whole,
    /// Into batches of its pixels.
    Batch,
    /// Into bands of rows of its rectangle.
    Rows,
}

/// How a client joins a call with those that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Join {
    /// It is never joined.
    Alone,
    /// It draws one pixel. A run of such calls travels as one `draw_pixels`.
    Run,
}

/// What it costs a display to execute a request, beside what any request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cost {
    /// Nothing: it is small, or another thread does it.
    Call,
    /// Each pixel of its batch.
    Batch,
    /// Each pixel of its rectangle.
    Area,
    /// Each pixel of the display.
    Display,
}

macro_rules! columns {
    (
        acknowledged { $(
            $(#[doc = $draw_doc:literal])+
            $Draw:ident: $draw:ident($($draw_parameters:tt)*) {
                effect: $draw_effect:ident, journal: $draw_journal:ident, split: $draw_split:ident, join: $draw_join:ident,
                cost: $draw_cost:ident
            };
        )+ }
        answered { $(
            $(#[doc = $ask_doc:literal])+
            $Ask:ident: $ask:ident($($ask_parameters:tt)*) -> $Answer:ident($answer:ty) {
                effect: $ask_effect:ident, journal: $ask_journal:ident, split: $ask_split:ident, join: $ask_join:ident,
                cost: $ask_cost:ident
            };
        )+ }
    ) => {
        /// The columns of its row in [`calls!`](crate::calls).
        impl Method {
            /// Returns what it does to a display.
            #[inline]
            pub const fn effect(self) -> Effect {
                match self {
                    $(Method::$Draw => Effect::$draw_effect,)+
                    $(Method::$Ask => Effect::$ask_effect,)+
                }
            }

            /// Returns whether each request has a response of its own also when it succeeds, which the caller waits for. The
            /// success of others is acknowledged by progress, which stands for many of them.
            #[inline]
            pub const fn has_answer(self) -> bool {
                match self {
                    $(Method::$Draw => false,)+
                    $(Method::$Ask => true,)+
                }
            }

            /// Returns what a display that keeps a journal does with it.
            #[inline]
            pub const fn journal(self) -> JournalUse {
                match self {
                    $(Method::$Draw => JournalUse::$draw_journal,)+
                    $(Method::$Ask => JournalUse::$ask_journal,)+
                }
            }

            /// Returns how a client cuts it into requests.
            #[inline]
            pub const fn split(self) -> Split {
                match self {
                    $(Method::$Draw => Split::$draw_split,)+
                    $(Method::$Ask => Split::$ask_split,)+
                }
            }

            /// Returns how a client joins it with those that follow.
            #[inline]
            pub const fn join(self) -> Join {
                match self {
                    $(Method::$Draw => Join::$draw_join,)+
                    $(Method::$Ask => Join::$ask_join,)+
                }
            }

            /// Returns what it costs to execute it.
            #[inline]
            pub const fn cost(self) -> Cost {
                match self {
                    $(Method::$Draw => Cost::$draw_cost,)+
                    $(Method::$Ask => Cost::$ask_cost,)+
                }
            }
        }
    };
}

crate::calls!(columns);

/// What follows from the columns.
impl Method {
    /// Returns whether it changes the picture.
    #[inline]
    pub const fn draws(self) -> bool {
        matches!(self.effect(), Effect::Draw)
    }

    /// Returns whether it only waits for the calls before it.
    #[inline]
    pub const fn is_barrier(self) -> bool {
        matches!(self.effect(), Effect::Barrier)
    }

    /// Returns whether a display appends it to its journal, so that it is executed again when the journal is replayed.
    #[inline]
    pub const fn is_journaled(self) -> bool {
        matches!(self.journal(), JournalUse::Append)
    }

    /// Returns whether it may be sent again when it is unknown whether it was executed, as after a reconnect: it changes
    /// nothing.
    #[inline]
    pub const fn may_be_repeated(self) -> bool {
        !self.draws()
    }

    /// Returns whether a display ignores it as a notification: it changes nothing, and a notification has no answer.
    #[inline]
    pub const fn is_ignored_as_notification(self) -> bool {
        !self.draws()
    }

    /// Returns whether a client may drop it, as an old one of many while the display is gone: later calls draw over it, and
    /// no caller waits for an answer.
    #[inline]
    pub const fn may_be_dropped(self) -> bool {
        self.draws() && !self.has_answer()
    }
}

/// The parameters that columns speak of.
impl<'a> Request<'a> {
    /// Returns its batch of pixels, if it has one: those of [`Split::Batch`] and [`Cost::Batch`] do.
    #[inline]
    pub const fn pixels(&self) -> Option<Pixels<'a>> {
        match *self {
            Request::DrawPixels { pixels } | Request::AddPixels { pixels } => Some(pixels),
            _ => None,
        }
    }

    /// Returns the request of `method` with this batch, if a batch is all that it takes: the reverse of [`Request::pixels`].
    #[inline]
    pub const fn of_pixels(method: Method, pixels: Pixels<'a>) -> Option<Request<'a>> {
        match method {
            Method::DrawPixels => Some(Request::DrawPixels { pixels }),
            Method::AddPixels => Some(Request::AddPixels { pixels }),
            _ => None,
        }
    }

    /// Returns width and height of its rectangle in pixels, if it has one: those of [`Split::Rows`] and [`Cost::Area`] do.
    #[inline]
    pub const fn extent(&self) -> Option<(u32, u32)> {
        match *self {
            Request::FillRect { width, height, .. }
            | Request::PutImage { width, height, .. }
            | Request::GetImage { width, height, .. }
            | Request::GetDigest { width, height, .. } => Some((width, height)),
            _ => None,
        }
    }

    /// Returns the request for so many rows of its rectangle, from row `first` of it, with their part of the data; itself
    /// unless it is of [`Split::Rows`]. The rows must lie within a rectangle that [`Request::check`] has passed.
    #[inline]
    pub(crate) fn band(&self, first: u32, rows: u32) -> Request<'a> {
        match *self {
            Request::PutImage { x, y, width, rgba, .. } => {
                let row = width as usize * 4;
                let rgba = &rgba[first as usize * row..][..rows as usize * row];
                // A band below the last row that i32 can name is outside every display, as that row is.
                Request::PutImage { x, y: y.saturating_add_unsigned(first), width, height: rows, rgba }
            }
            Request::GetImage { x, y, width, .. } => {
                Request::GetImage { x, y: y.saturating_add_unsigned(first), width, height: rows }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
