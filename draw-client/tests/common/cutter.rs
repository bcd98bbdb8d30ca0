//! A relay that cuts each connection after a number of bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

/// The number of bytes that a connection carries before it is cut: to the display, and from it.
pub(crate) type Plan = (usize, usize);

/// The plan of a connection that is never cut.
pub(crate) const WHOLE: Plan = (usize::MAX, usize::MAX);

/// The byte of a connection whose lowest bit is flipped, unnoticed by any checksum of a lower layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Altered {
    /// The byte at this offset, to the display (`Up`) or from it (`Down`).
    Up(usize),
    Down(usize),
    /// The byte after the first occurrence of these bytes, from the display.
    DownBehind(&'static [u8]),
}

impl Altered {
    /// Returns the position of the altered byte in `bytes`, which come after `before` other bytes.
    fn find(self, is_up: bool, bytes: &[u8], before: usize) -> Option<usize> {
        let at = match self {
            Altered::Up(at) if is_up => at.checked_sub(before)?,
            Altered::Down(at) if !is_up => at.checked_sub(before)?,
            Altered::DownBehind(these) if !is_up => {
                bytes.windows(these.len()).position(|window| window == these)? + these.len()
            }
            _ => return None,
        };
        (at < bytes.len()).then_some(at)
    }
}

pub(crate) struct Cutter {
    pub(crate) address: String,
    connections: Arc<AtomicUsize>,
    relayed: Arc<AtomicUsize>,
    /// If true, connections after the first are closed at once.
    refuses: Arc<AtomicBool>,
    /// The present connection and the earlier ones.
    clients: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cutter {
    /// Relays to `target`. Each of the first connections is cut by its plan in `plans`, later connections never. The
    /// last byte before a cut arrives; of the other direction, the bytes that have arrived by then.
    pub(crate) fn start(target: &str, plans: Vec<Plan>) -> Cutter {
        let target: SocketAddr = target.parse().unwrap();
        Cutter::relay(plans, vec![], move |_| target)
    }

    /// Relays to `target` and cuts nothing. One byte of each of the first connections is altered, none of later ones.
    pub(crate) fn start_altering(target: &str, altered: Vec<Altered>) -> Cutter {
        let target: SocketAddr = target.parse().unwrap();
        Cutter::relay(vec![], altered, move |_| target)
    }

    /// Relays the first connection to `first`, cut by `plan`, and the others to `second`. The returned flag is set by
    /// the second connection.
    pub(crate) fn start_moving(first: &str, second: &str, plan: Plan) -> (Cutter, Arc<AtomicBool>) {
        let (first, second): (SocketAddr, SocketAddr) = (first.parse().unwrap(), second.parse().unwrap());
        let has_moved = Arc::new(AtomicBool::new(false));
        let moved = Arc::clone(&has_moved);
        let target = move |connection| {
            moved.fetch_or(connection > 0, SeqCst);
            if connection == 0 { first } else { second }
        };
        (Cutter::relay(vec![plan], vec![], target), has_moved)
    }

    /// Relays the second connection to `detour`, the others to `target`. The first is cut by `plan`.
    pub(crate) fn start_with_detour(target: &str, detour: &str, plan: Plan) -> Cutter {
        let (target, detour): (SocketAddr, SocketAddr) = (target.parse().unwrap(), detour.parse().unwrap());
        Cutter::relay(vec![plan], vec![], move |connection| if connection == 1 { detour } else { target })
    }

    fn relay(
        plans: Vec<Plan>,
        altered: Vec<Altered>,
        target: impl Fn(usize) -> SocketAddr + Send + 'static,
    ) -> Cutter {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (connections, refuses) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let relayed = Arc::new(AtomicUsize::new(0));
        let clients = Arc::<Mutex<Vec<TcpStream>>>::default();
        let cutter = Cutter {
            address,
            connections: Arc::clone(&connections),
            relayed: Arc::clone(&relayed),
            refuses: Arc::clone(&refuses),
            clients: Arc::clone(&clients),
        };
        std::thread::spawn(move || {
            let (mut plans, mut altered) = (plans.into_iter(), altered.into_iter());
            for client in listener.incoming() {
                let number = connections.fetch_add(1, SeqCst);
                if number > 0 && refuses.load(SeqCst) {
                    continue;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(target(number))) else { return };
                relayed.fetch_add(1, SeqCst);
                clients.lock().unwrap().push(client.try_clone().unwrap());
                let (up, down) = plans.next().unwrap_or(WHOLE);
                relay(client, server, (up, down), altered.next());
            }
        });
        cutter
    }

    /// Cuts the present connection, and refuses others until `admit` is called.
    pub(crate) fn cut(&self) {
        self.refuse_after_the_first();
        for client in self.clients.lock().unwrap().drain(..) {
            _ = client.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn refuse_after_the_first(&self) {
        self.refuses.store(true, SeqCst);
    }

    pub(crate) fn admit(&self) {
        self.refuses.store(false, SeqCst);
    }

    /// Returns the number of connections that were relayed, out of all accepted.
    pub(crate) fn relayed(&self) -> usize {
        self.relayed.load(SeqCst)
    }

    /// Returns the number of connections accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

fn relay(client: TcpStream, server: TcpStream, (up, down): Plan, altered: Option<Altered>) {
    for (from, to, most, is_up) in [(&client, &server, up, true), (&server, &client, down, false)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        from.set_nodelay(true).unwrap();
        std::thread::spawn(move || carry(&from, &to, most, altered.map(|altered| (altered, is_up))));
    }
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, mut left: usize, mut altered: Option<(Altered, bool)>) {
    let (mut buffer, mut carried) = ([0; 4096], 0);
    while left > 0 {
        let most = left.min(buffer.len());
        let Ok(n @ 1..) = from.read(&mut buffer[..most]) else { break };
        if let Some(at) = altered.and_then(|(altered, is_up)| altered.find(is_up, &buffer[..n], carried)) {
            buffer[at] ^= 1;
            altered = None;
        }
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
        (left, carried) = (left - n, carried + n);
    }
    // Both directions end; each side sees the end of the connection.
    _ = from.shutdown(Shutdown::Both);
    _ = to.shutdown(Shutdown::Both);
}
