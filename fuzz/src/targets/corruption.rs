use crate::common::calls::{Owned, call};
use crate::common::model::{Model, Said, said};
use crate::common::{Cuts, SMALL, config};
use arbitrary::{Result, Unstructured};
use draw_protocol::client::{self, Event};
use draw_protocol::server::{self, Step};
use draw_protocol::{Fault, Hello};
use std::time::Instant;

/// Where both sides have agreed on checks, bytes altered in transit, in whatever manner, never become a call that was
/// not made or an answer that was not given: what is executed and what is reported is a prefix of what it would have
/// been.
pub fn corruption(data: &[u8]) {
    _ = run(&mut Unstructured::new(data));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut calls = Vec::new();
    for _ in 0..1 + input.arbitrary::<u8>()? % 6 {
        calls.push(call(input)?);
    }
    let mut world = World::new(&calls);
    let expected = world.expected.clone();
    let sent = world.client.swap_transmit(Vec::new());
    let executed = World::new(&calls).hear(&sent, Cuts::Whole);
    let arrived = alter(sent.clone(), input)?;
    let heard = world.hear(&arrived, Cuts::Random(1, 50));
    assert!(executed.starts_with(&heard), "{heard:?} of {executed:?}");
    assert!(arrived != sent || heard == executed);

    let answered = world.say();
    let arrived = alter(answered.clone(), input)?;
    let told = world.told(&arrived);
    assert!(expected.starts_with(&told), "{told:?} of {expected:?}");
    if heard == executed && arrived == answered {
        assert_eq!((told.len(), world.client.in_flight()), (expected.len(), 0));
    }
    Ok(())
}

/// A client with calls in flight and a server that have exchanged greetings.
struct World {
    client: client::Connection,
    server: server::Connection,
    model: Model,
    /// The answers that the program must receive.
    expected: Vec<(u64, Said)>,
    now: Instant,
}

impl World {
    fn new(calls: &[Owned]) -> World {
        let now = Instant::now();
        let client = client::Connection::new(&Hello::new("fuzz").with_checks(true));
        let server = server::Connection::new(config(SMALL), now);
        let mut world = World { client, server, model: Model::new(SMALL), expected: Vec::new(), now };
        let greeting = world.client.swap_transmit(Vec::new());
        world.hear(&greeting, Cuts::Whole);
        let welcome = world.say();
        assert!(world.told(&welcome).is_empty() && world.client.welcome().is_some());
        let mut model = Model::new(SMALL);
        for call in calls {
            // Calls that no display of this size can answer are refused here.
            if let Ok(number) = world.client.call(&call.request(), now) {
                match model.apply(&call.request()) {
                    Ok(_) if !call.request().method().has_answer() => {}
                    said => world.expected.push((number, said)),
                }
            }
        }
        world
    }

    /// Returns what was executed.
    fn hear(&mut self, bytes: &[u8], cuts: Cuts) -> Vec<String> {
        let mut executed = Vec::new();
        for mut piece in cuts.pieces(bytes) {
            loop {
                match self.server.handle_input(&mut piece, self.now) {
                    Step::Execute(request, _) => {
                        let mut parameters = Vec::new();
                        request.encode_parameters(&mut parameters);
                        executed.push(format!("{}: {parameters:02x?}", request.method().name()));
                        let result = self.model.apply(&request);
                        self.server.answer(
                            result.map_err(|(code, rejected)| {
                                Fault::of_pixels(code, "it lies outside", rejected)
                            }),
                        );
                    }
                    Step::Greet(_) => unreachable!("it has its display"),
                    Step::Resume(_) => panic!("nobody asks for a session"),
                    Step::Continue => {}
                    Step::Wait => break,
                }
            }
        }
        executed
    }

    fn say(&mut self) -> Vec<u8> {
        let said = self.server.poll_transmit(self.now).to_vec();
        self.server.handle_transmitted(said.len(), self.now);
        said
    }

    fn told(&mut self, bytes: &[u8]) -> Vec<(u64, Said)> {
        let (mut told, mut rest) = (Vec::new(), bytes);
        while let Ok(Some(event)) = self.client.handle_input(&mut rest, self.now) {
            match event {
                Event::Fault(made, fault) => told.push((made.number, said(Err(fault)))),
                Event::Answer(made, answer) => told.push((made.number, Ok(answer))),
                Event::Welcome => {}
                other => panic!("{other:?}"),
            }
        }
        told
    }
}

/// Overwrites, inserts, removes or repeats some of the bytes, up to three times.
fn alter(mut bytes: Vec<u8>, input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    for _ in 0..input.arbitrary::<u8>()? % 4 {
        let (kind, at, n): (u8, u16, u8) = (input.arbitrary()?, input.arbitrary()?, input.arbitrary()?);
        let start = usize::from(at) % (bytes.len() + 1);
        let range = start..(start + usize::from(n)).min(bytes.len());
        match kind % 5 {
            0 => bytes[range].iter_mut().take(1).for_each(|byte| *byte ^= n),
            1 => _ = bytes.splice(start..start, input.bytes(usize::from(n % 16).min(input.len()))?.to_vec()),
            2 => _ = bytes.drain(range),
            3 => {
                let again = bytes[range].to_vec();
                bytes.splice(start..start, again);
            }
            // Nothing arrives from here on.
            _ => bytes.truncate(start),
        }
    }
    Ok(bytes)
}
