use arbitrary::{Result, Unstructured};
use draw_protocol::limits;
use draw_protocol::session::{Filter, Misuse, Verdict};

/// The duplicate filter decides on each request as a list of all requests would: each is executed once, in order, and
/// never again; and the filter remembers no more than what is not acknowledged.
pub fn filter(data: &[u8]) {
    // The input may end in the middle of a step.
    _ = run(&mut Unstructured::new(data));
}

/// All requests, and how many of them are executed, told and acknowledged.
struct Plain {
    /// All requests before this number count as executed, told and acknowledged.
    first: u64,
    digests: Vec<u64>,
    ack: u64,
    told: u64,
    executing: Option<u64>,
}

impl Plain {
    fn applied(&self) -> u64 {
        self.first + self.digests.len() as u64
    }

    fn verdict(&self, number: u64, digest: u64) -> std::result::Result<Verdict, Misuse> {
        let applied = self.applied();
        let expected = applied + 1 + u64::from(self.executing.is_some());
        let same =
            |known: u64, verdict| if known == digest { Ok(verdict) } else { Err(Misuse::Reuse { number }) };
        if number <= self.ack {
            Ok(Verdict::Stale)
        } else if number <= applied {
            same(self.digests[(number - self.first - 1) as usize], Verdict::Again)
        } else if let (Some(executing), true) = (self.executing, number == applied + 1) {
            same(executing, Verdict::Attach)
        } else if number > self.ack + limits::SESSION_WINDOW {
            Err(Misuse::Window { number, ack: self.ack })
        } else if number == expected && self.executing.is_none() {
            Ok(Verdict::Execute)
        } else {
            Err(Misuse::Gap { number, expected })
        }
    }
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    // A session of any age.
    let first = [0, 1, u64::from(u32::MAX) - 2, 1 << 62][usize::from(input.arbitrary::<u8>()? % 4)];
    let mut filter = Filter::new(first);
    let mut plain = Plain { first, digests: Vec::new(), ack: first, told: first, executing: None };
    while !input.is_empty() {
        match input.arbitrary::<u8>()? % 8 {
            0..3 => {
                // Near the last one, and mostly with the digest that belongs to a request of that number.
                let number = plain.applied().wrapping_add_signed(input.arbitrary::<i8>()?.into());
                _ = request(&mut filter, &mut plain, number, 1 + number % 3);
            }
            3 => {
                let (number, digest) = (input.arbitrary()?, 1 + input.arbitrary::<u64>()? % 3);
                _ = request(&mut filter, &mut plain, number, digest);
            }
            4 => {
                if let Some(digest) = plain.executing.take() {
                    filter.executed();
                    plain.digests.push(digest);
                }
            }
            5 => {
                filter.interrupt();
                plain.executing = None;
            }
            6 => {
                filter.tell();
                plain.told = plain.applied();
            }
            _ => {
                let ack = plain.applied().wrapping_add_signed(input.arbitrary::<i8>()?.into());
                let said = filter.acknowledge(ack);
                assert_eq!(
                    said,
                    if ack > plain.told { Err(Misuse::Ack { ack, told: plain.told }) } else { Ok(()) }
                );
                if said.is_ok() {
                    plain.ack = plain.ack.max(ack);
                }
            }
        }
        // A burst of requests, to come near the window.
        if input.len() % 61 == 60 && plain.executing.is_none() {
            for _ in 0..9_000 {
                let number = plain.applied() + 1;
                if request(&mut filter, &mut plain, number, 1 + number % 3) == Ok(Verdict::Execute) {
                    filter.executed();
                    plain.digests.extend(plain.executing.take());
                }
            }
        }
        assert_eq!((filter.ack(), filter.applied()), (plain.ack, plain.applied()));
        let unacknowledged = (plain.applied() - plain.ack) as usize;
        assert!(unacknowledged as u64 <= limits::SESSION_WINDOW);
        assert!(filter.memory() <= 16 << 10 || filter.memory() <= 64 + 8 * 4 * (unacknowledged + 2));
    }
    Ok(())
}

fn request(
    filter: &mut Filter,
    plain: &mut Plain,
    number: u64,
    digest: u64,
) -> std::result::Result<Verdict, Misuse> {
    let verdict = filter.handle_request(number, digest);
    assert_eq!(verdict, plain.verdict(number, digest), "request {number}");
    if verdict == Ok(Verdict::Execute) {
        plain.executing = Some(digest);
    }
    verdict
}
