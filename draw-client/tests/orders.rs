//! Waiting for credit, in every order in which the tasks of a program, the driver and the display can run.
//!
//! The client's state has one lock, which is held while a call or the driver is polled. So the orders in which tasks
//! are polled are all possible orders; code without a lock is tested in `fuzz/interleavings/`. A task is polled only
//! after it was woken, so a missing wake-up is found.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::peer::machine;
use draw_client::{Color, ConnectOptions, Display, Error};
use draw_protocol::server::Step;
use draw_protocol::{Answer, Code, Fault, Request};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

/// The number of steps in a run at which another task than the next one is polled. Two of them reveal every deliberate
/// mistake.
const DEVIATIONS: usize = 2;
/// The number of polls after which a run counts as endless.
const POLLS: usize = 1000;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// A task: its name, and its future.
type Task = (&'static str, Pin<Box<dyn Future<Output = ()>>>);

/// The choice at each step of a run, and the number of alternatives.
#[derive(Default)]
struct Choices {
    made: Vec<(usize, usize)>,
    step: usize,
}

impl Choices {
    fn choose(&mut self, among: usize) -> usize {
        if self.step == self.made.len() {
            self.made.push((0, among));
        }
        let (chosen, before) = self.made[self.step];
        assert_eq!(among, before, "the same choices lead to the same run");
        self.step += 1;
        chosen
    }

    /// Advances to the next run. Returns whether there is one.
    fn next_run(&mut self) -> bool {
        self.step = 0;
        while let Some((chosen, among)) = self.made.pop() {
            if chosen + 1 < among {
                self.made.push((chosen + 1, among));
                return true;
            }
        }
        false
    }
}

/// Polls the tasks until all are done.
fn run(mut tasks: Vec<Task>, choices: &mut Choices) {
    let woken: Vec<_> = tasks.iter().map(|_| Arc::new(Woken(AtomicBool::new(true)))).collect();
    let (mut order, mut last, mut left) = (Vec::new(), 0, DEVIATIONS);
    let mut is_done = vec![false; tasks.len()];
    while is_done.contains(&false) {
        let is_ready = |task: usize| !is_done[task] && woken[task].0.load(SeqCst);
        let mut ready: Vec<_> = (0..tasks.len()).filter(|&task| is_ready(task)).collect();
        let undone = || (0..tasks.len()).filter(|&task| !is_done[task]).map(|task| tasks[task].0);
        assert!(!ready.is_empty(), "nobody wakes {:?} after {order:?}", undone().collect::<Vec<_>>());
        assert!(order.len() < POLLS, "{:?} go on without end", undone().collect::<Vec<_>>());
        // The first choice continues with the same task, the others follow in turns.
        ready.sort_by_key(|&task| (task + tasks.len() - last) % tasks.len());
        ready.truncate(if left > 0 { ready.len() } else { 1 });
        let chosen = choices.choose(ready.len());
        left -= usize::from(chosen > 0);
        let task = ready[chosen];
        last = task;
        order.push(tasks[task].0);
        woken[task].0.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&woken[task]));
        is_done[task] = tasks[task].1.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
    }
}

/// Returns the answer to `hello` of the specification, from a display of 640x480 that grants `calls` calls.
fn welcome(calls: u8) -> Vec<u8> {
    let mut bytes =
        b"\x94\x01\x00\xc0\x87\xa7version\x01\xa5width\xcd\x02\x80\xa6height\xcd\x01\xe0".to_vec();
    bytes.extend(b"\xa5calls");
    bytes.push(calls);
    bytes
        .extend(b"\xa5bytes\xce\x02\x00\x00\x00\xa7message\xce\x01\x00\x00\x00\xa5batch\xce\x00\x01\x00\x00");
    bytes
}

/// Yields to the other tasks once.
async fn pause() {
    let mut has_paused = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut has_paused, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Reads the bytes that are available now.
async fn read_some(stream: &mut DuplexStream, buffer: &mut [u8]) -> usize {
    let mut read = pin!(stream.read(buffer));
    poll_fn(|cx| match read.as_mut().poll(cx) {
        Poll::Ready(read) => Poll::Ready(read.unwrap()),
        Poll::Pending => Poll::Ready(0),
    })
    .await
}

/// Draws until the client disconnects, and checks the number of calls in flight. Calls at a negative x fail.
async fn serve(mut stream: DuplexStream, calls: u8) {
    let (mut machine, mut buffer) = (machine(), vec![0; 4096]);
    while let mut n @ 1.. = stream.read(&mut buffer).await.unwrap() {
        let mut under_way = 0;
        // The answers come late: all calls that the client sends before them are in flight.
        while n > 0 {
            let mut input = &buffer[..n];
            loop {
                match machine.handle_input(&mut input, Instant::now()) {
                    Step::Execute(Request::FillRect { x, .. }, _) => {
                        let fault = Fault::new(Code::OutOfBounds, "as a test");
                        machine.answer(if x < 0 { Err(fault) } else { Ok(Answer::Done(())) });
                        under_way += 1;
                    }
                    Step::Execute(request, _) => panic!("nobody has called {request:?}"),
                    Step::Greet(_) => unreachable!("it has its display"),
                    Step::Resume(_) => machine.resume(&mut None),
                    Step::Continue => {}
                    Step::Wait => break,
                }
            }
            pause().await;
            n = read_some(&mut stream, &mut buffer).await;
        }
        assert!(under_way <= calls, "{under_way} calls are under way, and {calls} may be");
        let bytes = machine.poll_transmit(Instant::now()).to_vec();
        machine.handle_transmitted(bytes.len(), Instant::now());
        let is_greeting = bytes.starts_with(b"\x94\x01\x00\xc0\x88");
        stream.write_all(if is_greeting { welcome(calls) } else { bytes }.as_slice()).await.unwrap();
    }
}

/// Polls `greeting` and `serving` in turns until `greeting` completes.
fn greet<F: Future>(greeting: F, serving: &mut Pin<Box<dyn Future<Output = ()>>>) -> F::Output {
    let mut greeting = pin!(greeting);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(greeted) = greeting.as_mut().poll(&mut cx) {
            return greeted;
        }
        assert!(serving.as_mut().poll(&mut cx).is_pending());
    }
}

/// A program: its tasks call at these places, in order.
#[derive(Debug, Default, Clone, Copy)]
struct Program {
    /// The number of calls that the display grants.
    credit: u8,
    one: &'static [i32],
    other: &'static [i32],
    /// If true, the tasks keep their replies until they have made all their calls.
    keeps_replies: bool,
    quitter: Option<Quitter>,
}

/// An additional task, which drops its call if that has to wait: at once, or when it is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quitter {
    Early,
    Late,
}

async fn call(display: Display, places: &[i32], keeps_replies: bool) {
    let mut replies = Vec::new();
    for &x in places {
        let reply = display.fill_rect(x, 0, 1, 1, Color::RED).await.unwrap();
        if keeps_replies {
            replies.push(reply);
        }
    }
    pause().await;
}

async fn quit(display: Display, when: Quitter) {
    let mut call = Box::pin(display.fill_rect(0, 0, 1, 1, Color::RED));
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        if polls > 1 || call.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if when == Quitter::Early {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

/// Runs a program in every order.
fn explore(program: Program) {
    let Program { credit, one, other, keeps_replies, quitter } = program;
    let faults = one.iter().chain(other).filter(|x| **x < 0).count() as u64;
    // Its clock is paused: an action that depends on the time would not occur in every run.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    let (mut choices, mut runs) = (Choices::default(), 0);
    loop {
        let (near, far) = tokio::io::duplex(4096);
        let mut serving: Pin<Box<dyn Future<Output = ()>>> = Box::pin(serve(far, credit));
        let (display, driver) = greet(ConnectOptions::new().over_with_driver(near), &mut serving).unwrap();
        let (calling, mut called) = mpsc::channel::<()>(1);
        let until_done = |task: Pin<Box<dyn Future<Output = ()>>>| {
            let calling = calling.clone();
            Box::pin(async move {
                task.await;
                drop(calling);
            })
        };
        let mut tasks: Vec<Task> = vec![("driver", Box::pin(driver)), ("display", serving)];
        tasks.push(("one", until_done(Box::pin(call(display.clone(), one, keeps_replies)))));
        tasks.extend(quitter.map(|when| {
            let task: Task = ("quitter", until_done(Box::pin(quit(display.clone(), when))));
            task
        }));
        tasks.push(("other", until_done(Box::pin(call(display.clone(), other, keeps_replies)))));
        drop(calling);
        let end = async move {
            assert_eq!(called.recv().await, None);
            match display.close().await {
                Err(Error::Late(late)) => assert_eq!(late.total(), faults),
                other => assert_eq!((other.map_err(|error| error.to_string()), faults), (Ok(()), 0)),
            }
        };
        tasks.push(("closer", Box::pin(end)));
        run(tasks, &mut choices);
        runs += 1;
        if !choices.next_run() {
            println!("{program:?}: {runs} orders");
            assert!(runs > 100, "{program:?}: nothing was explored");
            return;
        }
    }
}

#[test]
fn whoever_waits_for_credit_gets_it() {
    explore(Program { credit: 1, one: &[0, 0], other: &[0, 0], ..Program::default() });
    explore(Program { credit: 2, one: &[0, 0, 0], other: &[0, 0], ..Program::default() });
}

#[test]
fn a_turn_that_is_given_up_is_passed_on() {
    for quitter in [Some(Quitter::Early), Some(Quitter::Late)] {
        explore(Program { credit: 1, one: &[0, 0], other: &[0], quitter, ..Program::default() });
    }
}

#[test]
fn a_late_error_is_told_once_whoever_waits_meanwhile() {
    explore(Program { credit: 1, one: &[-1, 0], other: &[0, -1], ..Program::default() });
    explore(Program {
        credit: 2,
        one: &[-1, -1],
        other: &[-1, 0],
        keeps_replies: true,
        ..Program::default()
    });
}
