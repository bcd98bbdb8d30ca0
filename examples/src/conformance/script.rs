//! What a scenario does to the messages between client and display.

use super::Level;
use super::value::Value;

/// A message of one of the two sides, by its place in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The client's `hello`.
    Hello,
    /// The client's first message after the welcome.
    AfterWelcome,
    /// The client's request of this place on its connection, from 1, without `hello`.
    Request(usize),
    /// The client's request of this method.
    Method(&'static str),
    /// The display's response to `hello`.
    Welcome,
    /// The display's message of this place on its connection, from 1, without the response to `hello`.
    Answer(usize),
    /// A response of the display with a fault.
    Fault,
    /// The response of the display to the last request of this method.
    ResponseTo(&'static str),
}

/// Which bit of a message is inverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bit {
    /// The lowest bit of the last byte.
    Last,
    /// A bit of its check.
    Check,
}

/// What is done to a message.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// The connection is cut; nothing of the message arrives.
    Cut,
    /// The connection is cut behind this many bytes of the message.
    CutAfter(usize),
    /// The connection is cut in the middle of the message.
    CutHalf,
    /// The request is executed, nothing after it; then the connection is cut before anything that reports it.
    CutWhenDone,
    /// The message is dropped.
    Drop,
    /// A bit is inverted.
    Flip(Bit),
    /// The check in front of the message is removed.
    StripCheck,
    /// The message is replaced.
    Rewrite(fn(&mut Value)),
    /// Another message arrives in front of it.
    Insert(fn() -> Value),
    /// The client's message does not arrive. It is told goodbye with this code.
    Goodbye(&'static str),
    /// The client's `hello` does not arrive. It is refused with this code, which closes the connection.
    Refuse(&'static str),
}

/// An act on certain messages.
#[derive(Debug, Clone, Copy)]
pub struct Hook {
    /// The connection, from 1; 0 for each.
    pub connection: usize,
    /// Which message.
    pub at: At,
    /// What is done.
    pub act: Act,
    /// How often at most.
    pub times: usize,
}

/// Which messages of the display are delivered only when the client has been quiet for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// None.
    Nothing,
    /// The response to `hello`.
    Welcome,
    /// Everything after it.
    Answers,
}

/// The display that connections after the first reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The same.
    No,
    /// A server that has forgotten the session, with the same picture.
    Forgotten,
    /// Another display, without the picture.
    Empty,
}

/// How the client may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// With the task done.
    Done,
    /// With the task done, or with a status that says that it is not.
    DoneOrGivesUp,
    /// With a status that says that the task may not be done.
    GivesUp,
}

/// One conversation with the client, and what has to come of it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The name, unique among all.
    pub name: &'static str,
    /// The level that it belongs to.
    pub level: Level,
    /// The section of protocol/spec with the rule.
    pub section: &'static str,
    /// The rule, in a sentence.
    pub rule: &'static str,
    /// What is done to messages.
    pub hooks: Vec<Hook>,
    /// Whether the display's messages arrive byte by byte.
    pub bytewise: bool,
    /// What is held back.
    pub hold: Hold,
    /// Which display later connections reach.
    pub restart: Restart,
    /// How the client may end.
    pub ends: Ends,
    /// The code of the fault that the client has to print.
    pub error: &'static str,
    /// The number at which the client may start, if the scenario needs one that does; it is optional then.
    pub first: Option<u64>,
}

impl Scenario {
    /// Returns a scenario in which nothing happens.
    pub fn new(level: Level, name: &'static str, section: &'static str, rule: &'static str) -> Scenario {
        Scenario {
            name,
            level,
            section,
            rule,
            hooks: Vec::new(),
            bytewise: false,
            hold: Hold::Nothing,
            restart: Restart::No,
            ends: Ends::Done,
            error: "out_of_bounds",
            first: None,
        }
    }

    /// Adds an act on one message, on any connection, once.
    #[must_use]
    pub fn at(self, at: At, act: Act) -> Scenario {
        self.on(0, at, act, 1)
    }

    /// Adds an act on messages of a connection, or of each with 0.
    #[must_use]
    pub fn on(mut self, connection: usize, at: At, act: Act, times: usize) -> Scenario {
        self.hooks.push(Hook { connection, at, act, times });
        self
    }

    /// Sets how the client may end.
    #[must_use]
    pub fn ends(self, ends: Ends) -> Scenario {
        Scenario { ends, ..self }
    }
}
