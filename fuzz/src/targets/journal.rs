use crate::common::calls::call;
use crate::common::disk::{
    Directory, Files, Header, Record, Version, journal_name, snapshot, snapshot_name, state,
};
use crate::common::model::Model;
use arbitrary::{Result, Unstructured};
use display_server::journal::inspect::{self, Moment};
use display_server::journal::{DEFAULT_SIZE, JournalError, Options};
use display_server::{Display, Journal};
use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Color, Size};
use std::time::{Duration, UNIX_EPOCH};

/// A journal written as its format specifies, each file in version 1 or 2, is whole, and has the picture of every
/// moment. Whatever else is in its files, with valid checksums or not: reading it changes nothing; the server opens
/// exactly what `export` shows or refuses it, as `check` reports, and shows it again when it is reopened; and an
/// accepted loss is accepted permanently.
pub fn journal(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(mode) = input.arbitrary::<u8>() else { return };
    let version = if mode & 0x20 == 0 { Version::One } else { Version::Two };
    let Ok(mut made) = Made::new(&mut input, version) else { return };
    made.is_mixed = mode & 0x10 > 0;
    for _ in 0..40 {
        if input.is_empty() || made.step(&mut input).is_err() {
            break;
        }
    }
    made.end_file();
    check(&made, mode);
}

const SESSION: Id = Id([9; 16]);

/// Files, and what they contained before they were altered.
struct Made {
    files: Files,
    model: Model,
    /// The picture after each record, and the record's time.
    pictures: Vec<(u64, Vec<u8>)>,
    header: Header,
    /// Number of the file that is being written.
    number: u64,
    bytes: Vec<u8>,
    sum: u64,
    session: Session,
    /// Set if the files contain nothing that a server would not have written.
    is_honest: bool,
    /// Set if files after the first are of version 2, regardless of the first file's version.
    is_mixed: bool,
}

impl Made {
    fn new(input: &mut Unstructured<'_>, version: Version) -> Result<Made> {
        let side = |n: u8| u32::from(n % 12) + 1;
        let size = Size { width: side(input.arbitrary()?), height: side(input.arbitrary()?) };
        // One colour, an even one, marks in later files that there is a manifest. There is none here, so the colour is
        // odd.
        let background = Color::from_u32(input.arbitrary::<u32>()? | 1);
        let instance = [7; 16];
        let header = Header {
            version,
            size,
            background,
            instance,
            boot: 1,
            first: 1,
            previous: 0,
            durable: 0,
            time: 1_000_000,
        };
        let model = Model::filled(size, background);
        let (bytes, sum) = header.encode();
        Ok(Made {
            files: Files::new(),
            pictures: vec![(0, model.bytes())],
            model,
            header,
            number: 1,
            bytes,
            sum,
            session: Session::new(0),
            is_honest: true,
            is_mixed: false,
        })
    }

    fn end_file(&mut self) {
        self.files.insert(journal_name(self.number), std::mem::take(&mut self.bytes));
    }

    fn begin_file(&mut self) {
        self.number += 1;
        self.header.boot += 1;
        if self.is_mixed {
            self.header.version = Version::Two;
        }
        (self.header.first, self.header.previous) = (self.pictures.len() as u64, self.sum);
        // All records of older files are synced when a file begins.
        self.header.durable = self.header.first - 1;
        (self.bytes, self.sum) = self.header.encode();
    }

    fn append(&mut self, record: &Record<'_>) {
        let (bytes, sum) = record.encode(self.header.version, self.sum);
        self.bytes.extend_from_slice(&bytes);
        self.sum = sum;
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.arbitrary::<u8>()? % 16 {
            0..7 => self.record(input)?,
            7 => self.take_up(),
            8 => {
                self.end_file();
                self.begin_file();
            }
            9 => {
                self.end_file();
                let mut session = Vec::new();
                self.session.encode(&mut session);
                let state = state(self.header.version, SESSION, &session);
                let next = Header { first: self.pictures.len() as u64, previous: self.sum, ..self.header };
                let bytes = snapshot(&next, next.time + 1, &self.model.bytes(), &state);
                self.files.insert(snapshot_name(self.number + 1), bytes);
                self.begin_file();
            }
            // From here on, content that no server writes.
            10 => self.forged_record(input)?,
            11 => self.forged_header(input)?,
            12 => {
                self.is_honest = false;
                let n = usize::from(input.arbitrary::<u8>()?).min(input.len());
                self.bytes.extend_from_slice(input.bytes(n)?);
            }
            13 | 14 => self.splice(input)?,
            _ => {
                self.is_honest = false;
                let n = usize::from(input.arbitrary::<u8>()?);
                let name = self.files.keys().nth(n % (self.files.len() + 1)).cloned();
                _ = name.and_then(|name| self.files.remove(&name));
            }
        }
        Ok(())
    }

    fn record(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let (later, flags): (u16, u8) = (input.arbitrary()?, input.arbitrary()?);
        let call = call(input)?;
        let request = call.request();
        if !request.method().is_journaled() {
            return Ok(());
        }
        let sequence = self.pictures.len() as u64;
        self.header.time += u64::from(later);
        let number = self.session.filter().applied() + 1;
        let ack = number - 1 - u64::from(flags >> 4).min(number - 1 - self.session.filter().ack());
        let stamp = (flags & 1 > 0).then_some(Stamp { session: SESSION, number, ack, digest: sequence });
        let mut parameters = Vec::new();
        request.encode_parameters(&mut parameters);
        self.append(&Record {
            kind: None,
            sequence,
            durable: u64::from(flags >> 1 & 7).min(sequence - 1),
            time: self.header.time,
            stamp,
            method: request.method().name().as_bytes(),
            parameters: &parameters,
            exceptions: &[],
        });
        _ = self.model.apply(&request);
        if let Some(stamp) = stamp {
            self.session.replay(stamp, None);
        }
        self.pictures.push((self.header.time, self.model.bytes()));
        Ok(())
    }

    /// Resumes the session: the journal contains it from here on.
    fn take_up(&mut self) {
        let (sequence, time) = (self.pictures.len() as u64, self.header.time);
        let mut exceptions = Vec::new();
        self.session.encode(&mut exceptions);
        let stamp = Stamp { session: SESSION, number: 0, ack: 0, digest: 0 };
        let (method, parameters) = (&b"sync"[..], &b"\x90"[..]);
        let stamp = Some(stamp);
        self.append(&Record {
            kind: None,
            sequence,
            durable: 0,
            time,
            stamp,
            method,
            parameters,
            exceptions: &exceptions,
        });
        self.pictures.push((time, self.model.bytes()));
    }

    /// Appends a record with a valid checksum and arbitrary content.
    fn forged_record(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        self.is_honest = false;
        let sequence = self.pictures.len() as u64;
        let kind = input.arbitrary::<u8>()?;
        let anything = |input: &mut Unstructured<'_>, right: u64, bit: u8| match kind & bit {
            0 => Ok(right),
            _ => input.arbitrary(),
        };
        let record = Record {
            // In version 2 any kind, including those that are skipped or refused.
            kind: (self.header.version == Version::Two && kind & 6 == 6).then_some(kind ^ 0x81),
            sequence: anything(input, sequence, 1)?,
            durable: anything(input, 0, 2)?,
            time: anything(input, self.header.time, 4)?,
            stamp: match kind & 8 {
                0 => None,
                _ => Some(Stamp {
                    session: SESSION,
                    number: input.arbitrary()?,
                    ack: anything(input, 0, 16)?,
                    digest: 1,
                }),
            },
            method: [&b"clear"[..], b"sync", b"draw_pixels", b"get_size", b"circle"]
                [usize::from(kind >> 5) % 5],
            parameters: {
                let n = usize::from(input.arbitrary::<u8>()? % 32).min(input.len());
                input.bytes(n)?
            },
            exceptions: {
                let n = usize::from(input.arbitrary::<u8>()?).min(input.len());
                input.bytes(n)?
            },
        };
        self.append(&record);
        self.pictures.push((self.header.time, self.model.bytes()));
        Ok(())
    }

    /// Begins the next file with a header with a valid checksum and arbitrary content.
    fn forged_header(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        self.is_honest = false;
        self.end_file();
        let kind = input.arbitrary::<u8>()?;
        self.begin_file();
        let header = &mut self.header;
        match kind % 8 {
            0 => header.boot = input.arbitrary()?,
            1 => header.first = input.arbitrary()?,
            2 => header.previous = input.arbitrary()?,
            3 => header.durable = input.arbitrary()?,
            4 => header.time = input.arbitrary()?,
            5 => header.instance = [input.arbitrary()?; 16],
            6 => header.size.height += u32::from(input.arbitrary::<u8>()? % 3),
            _ => self.number += u64::from(input.arbitrary::<u8>()? % 3),
        }
        // The records that follow are mostly valid again.
        let (bytes, sum) = header.encode();
        (self.bytes, self.sum) = (bytes, sum);
        (header.boot, header.time) = (header.boot % 1_000, header.time % 10_000_000);
        Ok(())
    }

    /// Overwrites, inserts or removes a few bytes of a file.
    fn splice(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        self.is_honest = false;
        let (which, at, gone): (u8, u16, u8) = (input.arbitrary()?, input.arbitrary()?, input.arbitrary()?);
        let files = self.files.len() + 1;
        let bytes = self.files.values_mut().nth(usize::from(which) % files).unwrap_or(&mut self.bytes);
        let start = usize::from(at) % (bytes.len() + 1);
        let end = (start + usize::from(gone)).min(bytes.len());
        let new = usize::from(input.arbitrary::<u8>()? % 16).min(input.len());
        bytes.splice(start..end, input.bytes(new)?.iter().copied());
        Ok(())
    }
}

fn picture(display: &Display) -> Vec<u8> {
    let (mut bytes, size) = (Vec::new(), display.size());
    display.framebuffer().read(size.clip(0, 0, size.width, size.height), &mut bytes);
    bytes
}

fn check(made: &Made, mode: u8) {
    let directory = Directory::with(&made.files);
    let path = directory.path();
    let exported = Journal::export(path, Moment::End, &mut |_, _| ()).map(|display| picture(&display));
    let report = inspect::check(path, &mut |_, _| ());
    let info = inspect::info(path);
    assert_eq!(directory.files(), made.files, "looking changes nothing");
    let is_refused = report.as_ref().ok().map(|report| report.damage.is_some());
    if made.is_honest {
        let (report, info) = (report.expect("it can be read"), info.expect("it can be read"));
        assert!(report.damage.is_none() && report.warnings.is_empty() && report.torn.is_none(), "{report:?}");
        assert_eq!(report.records, made.pictures.len() as u64 - 1);
        assert_eq!((info.size, info.instance, info.boot), (made.model.size, [7; 16], made.header.boot));
        assert_eq!(exported.as_ref().ok(), made.pictures.last().map(|(_, picture)| picture));
        let (at, _) = &made.pictures[usize::from(mode) % made.pictures.len()];
        let then = Journal::export(path, Moment::At(UNIX_EPOCH + Duration::from_millis(*at)), &mut |_, _| ());
        let expected = made.pictures.iter().rev().find(|(time, _)| time <= at);
        assert_eq!(then.ok().map(|display| picture(&display)), expected.map(|(_, picture)| picture.clone()));
    }
    let options = Options { accept_loss: mode & 0x80 > 0, ..Options::default() };
    let open = |options| Journal::open(path, options, &mut |_, _| ());
    let journal = open(&options);
    if let Some(is_refused) = is_refused.filter(|_| !options.accept_loss) {
        assert_eq!(journal.is_err(), is_refused, "a check says what a server does: {:?}", journal.err());
    }
    let journal = match journal {
        Ok(journal) => journal,
        Err(error) => {
            assert!(!made.is_honest, "{error}");
            assert!(!error.to_string().is_empty());
            // It stays refused, and no file is lost.
            let mut left = directory.files();
            left.remove("lock");
            assert_eq!(left, made.files, "{error}");
            return assert!(open(&options).is_err());
        }
    };
    let shown = picture(journal.display());
    match exported {
        Ok(exported) => assert!(exported == shown, "another picture"),
        // A first file whose header was never finished promises nothing, and contains nothing to read.
        Err(JournalError::Missing(_)) if made.files.len() == 1 => {
            assert_eq!(journal.display().size(), DEFAULT_SIZE);
        }
        Err(error) => assert!(options.accept_loss, "{error}"),
    }
    let (instance, boot) = (journal.instance(), journal.boot());
    if mode & 0x40 > 0 {
        journal.close().expect("there is room");
    }
    drop(journal);
    let again = open(&Options::default()).unwrap_or_else(|error| panic!("it was opened before: {error}"));
    assert!(picture(again.display()) == shown, "another picture");
    assert_eq!((again.instance(), again.boot()), (instance, boot + 1));
    assert!(!made.is_honest || instance == [7; 16]);
    drop(again);
    let report = inspect::check(path, &mut |_, _| ()).expect("it can be read");
    assert!(report.damage.is_none(), "{report:?}");
}
