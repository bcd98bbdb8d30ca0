//! A relay that cuts each connection after a number of bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

/// How many bytes a connection carries before it is cut: to the display, and from it.
pub(crate) type Plan = (usize, usize);

/// For a connection that is never cut.
pub(crate) const WHOLE: Plan = (usize::MAX, usize::MAX);

/// Which byte of a connection arrives with its lowest bit as the other, though no checksum below tells.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Altered {
    /// So many bytes after the first, to the display, or from it.
    Up(usize),
    Down(usize),
    /// The one behind the first of these, from the display.
    DownBehind(&'static [u8]),
}

impl Altered {
    /// Where it is in these bytes, the first of which comes so many after the first of all.
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
    /// Connections after the first are closed at once.
    refuses: Arc<AtomicBool>,
    /// The present connection, and those before it.
    clients: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cutter {
    /// Relays to `target`. The first connections are cut as `plans` says, one after the other, the others never. The last
    /// byte before a cut arrives; of the other direction, whatever has arrived by then.
    pub(crate) fn start(target: &str, plans: Vec<Plan>) -> Cutter {
        let target: SocketAddr = target.parse().unwrap();
        Cutter::relay(plans, vec![], move |_| target)
    }

    /// Cuts nothing. Of each of the first connections a byte is altered, of the others none.
    pub(crate) fn start_altering(target: &str, altered: Vec<Altered>) -> Cutter {
        let target: SocketAddr = target.parse().unwrap();
        Cutter::relay(vec![], altered, move |_| target)
    }

    /// The first connection goes to `first`, and is cut as planned, the others to `second`. Says whether there were any.
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

    /// The second connection goes to `detour`, the others to `target`. Cuts the first as planned.
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

    /// Cuts the connection that there is, and refuses others until they are admitted.
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

    /// How many connections were relayed, of all that there have been.
    pub(crate) fn relayed(&self) -> usize {
        self.relayed.load(SeqCst)
    }

    /// How many connections there have been.
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
    // Both directions end; either side sees it as the end of the connection.
    _ = from.shutdown(Shutdown::Both);
    _ = to.shutdown(Shutdown::Both);
}
