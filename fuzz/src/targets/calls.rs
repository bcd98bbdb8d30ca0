use crate::common::{SMALL, config};
use draw_protocol::server::{Connection, Step};
use draw_protocol::{Method, Request};
use std::time::Instant;

/// Accepted parameters form a request that passes its own check and that is unchanged after it is written and read
/// again, both pixel by pixel and as printed. A server accepts exactly the same parameters, and gives a reason for
/// rejecting the others. The first byte chooses the method; the rest is the array of parameters as MessagePack.
pub fn calls(data: &[u8]) {
    let Some((&first, parameters)) = data.split_first() else { return };
    let method = Method::ALL[usize::from(first) % Method::ALL.len()];
    let read = Request::from_parameters(method, parameters);
    if let Ok(request) = &read {
        assert_eq!((request.method(), request.check()), (method, Ok(())));
        let mut written = Vec::new();
        request.encode_parameters(&mut written);
        assert!(
            written.len() <= 2 * parameters.len() + 8,
            "a record has eight bytes, and an array of three at least four"
        );
        let again = Request::from_parameters(method, &written).expect("what was written can be read");
        assert_eq!(again.call(), request.call());
        assert!(request.call().to_string().starts_with(method.name()));
        let mut twice = Vec::new();
        again.encode_parameters(&mut twice);
        assert_eq!(twice, written);
        compare_data(request, &again);
    }
    let message =
        [&[0x94, 0, 7, 0xa0 | method.name().len() as u8], method.name().as_bytes(), parameters].concat();
    let (messages, rest) = crate::common::messages(&message);
    if messages.len() != 1 || !rest.is_empty() {
        // The array does not end where the message ends, which another target tests.
        return;
    }
    let now = Instant::now();
    let mut server = Connection::new(config(SMALL), now);
    match (server.handle_input(&mut &message[..], now), read) {
        (Step::Execute(request, None), Ok(read)) => assert_eq!(request.call(), read.call()),
        // A request whose answer is known not to fit in a message is refused before it is executed.
        (Step::Continue, Ok(Request::GetImage { .. } | Request::SyncDurable {})) => {}
        (Step::Continue, Err(fault)) => {
            let said = String::from_utf8_lossy(server.poll_transmit(now)).into_owned();
            assert!(said.contains(fault.code.as_str()) && said.contains(&fault.message), "{fault}: {said}");
            assert!(fault.message.len() < 1_000, "a text for a person is short: {fault}");
        }
        (step, read) => panic!("{step:?} and {read:?}"),
    }
}

/// Checks that the data of a request is unchanged, whatever form it arrived in.
fn compare_data(request: &Request<'_>, again: &Request<'_>) {
    match (request, again) {
        (
            Request::DrawPixels { pixels } | Request::AddPixels { pixels },
            Request::DrawPixels { pixels: written } | Request::AddPixels { pixels: written },
        ) => {
            assert_eq!((pixels.len(), pixels.is_empty()), (written.len(), written.is_empty()));
            assert!(written.as_run().is_some(), "it is written as a run");
            for (one, other) in pixels.iter().zip(written.iter()) {
                // A coordinate that a run cannot hold lies outside every display, and stays outside.
                let place = |n: i32| u16::try_from(n).map_or(i32::from(u16::MAX), i32::from);
                assert_eq!((place(one.0), place(one.1), one.2), other);
            }
        }
        (Request::PutImage { rgba, .. }, Request::PutImage { rgba: written, .. }) => {
            assert_eq!(rgba, written);
        }
        _ => {}
    }
}
