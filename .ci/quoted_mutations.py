"""Breaks draw-protocol, and what threads share without a lock, where mutations.py does not yet: in one place at a time, in a copy,
and sees that a test fails each time.

    python3 .ci/quoted_mutations.py          all of them, some minutes
    python3 .ci/quoted_mutations.py WORD     only those whose description contains WORD

The places are quoted. An entry is to go when its function is in the list of mutations.py. A place that is not there any more is
an error. The standard library of Python 3.11 and cargo.
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
TEST = "cargo test --locked --offline -q -p"

# What is wrong, in which file, what stands there, and what is put in its place.
SESSIONS = [
    ("nothing is interrupted", "server.rs", "        session.interrupt();", ""),
    ("a connection without its session executes", "server.rs", "self.talk.end(None, Fault::new(Code::Superseded, text));", "_ = text;"),
    ("any number confirms", "server/greeting.rs", "confirmed.map(i128::from) == wanted", "wanted.is_some()"),
    ("a new session makes forget the one before", "session/table.rs", "attempt.max(*before)", "attempt.min(*before)"),
    ("what was never told may be acknowledged", "session/filter.rs", "if ack > self.told {", "if ack > self.applied {"),
    ("nothing is ever told", "server/answer.rs", "                session.tell();", ""),
    ("responses are not kept", "session.rs", "self.responses.push_back((self.filter.applied(), kept.into()));", ""),
    ("a lease is a little longer", "session/quota.rs", ">= self.limits.lease", "> self.limits.lease"),
    ("a beginning nobody heard of is gone on with", "session.rs", "|session| session.born == known", "|_| true"),
    ("a late hello is taken", "session.rs", "attempt <= session.attempt", "attempt < session.attempt"),
    ("it is sent again from the wrong byte", "client/send_buffer.rs", "all.split_off(all.len() - size)", "all.split_off(all.len() - size / 2)"),
    ("a part is sent twice", "client/send_buffer.rs", "sent.truncate(std::mem::take(&mut self.sent));", "self.sent = 0;"),
    (
        "what is not reported is not kept",
        "client/resume.rs",
        "self.out.rewind(self.flight.bytes(), self.flight.bytes_after(applied), applied);",
        "self.out.rewind(self.flight.bytes_after(applied), self.flight.bytes_after(applied), applied);",
    ),
    ("an acknowledgement is left behind", "client/send.rs", "self.out.bytes.truncate(start);", "_ = start;"),
    ("what was altered is executed", "server.rs", "Err(altered) => talk.end_altered(altered.to_string()),", "Err(_) => return talk.handle_message(self.inbox.message(found), now),"),
    ("what was altered is believed", "client/receive.rs", "Err(altered) => Err(self.altered(&altered.to_string())),", "Err(_) => self.handle_message(message).map(|()| Arrived::Message),"),
    ("a hello without its check is taken", "server/greeting.rs", "(Ok((Hello { checks: true, .. },)), false) => {", "(Ok((Hello { checks: true, .. },)), false) if false => {"),
    ("bytes that are no message are the client's fault", "server/answer.rs", "match self.arriving.is_known() {", "match false {"),
    ("what seems longer than it is is waited for", "client/corruption.rs", "self.receive.message_began?.checked_add", "None::<()>?; self.receive.message_began?.checked_add"),
    ("a broken check is nobody's", "server.rs", "if method == hello::CHECK.as_bytes() {", "if false {"),
    ("what is said again has no check", "server/greeting.rs", "session.write_responses(self.arriving.is_agreed(), ", "session.write_responses(false, "),
    ("what is put in place of what is too large has none", "client/resume.rs", "&Request::DrawPixels { pixels: Pixels::of_run(&[]) }, is_checked)", "&Request::DrawPixels { pixels: Pixels::of_run(&[]) }, false)"),
    ("a lost answer is a success", "client/resume.rs", "self.session.resumed_to = applied;", "self.session.resumed_to = 0;"),
    ("what comes before the confirmation is executed", "server.rs", "if self.unconfirmed.is_some()\n            && let", "if false\n            && let"),
    ("a confirmation is asked of those who promise none", "server/greeting.rs", "nonce.filter(|_| asked.confirms)", "*nonce"),
    ("a client does not confirm", "client/resume.rs", "self.out.lead(bytes);", "drop(bytes);"),
    ("a client confirms unasked", "client/resume.rs", "self.session.hello.confirms && standing.is_some()", "standing.is_some()"),
    ("a session is known by its first hello", "session.rs", "asked.incarnation.unwrap_or(born);", "born;"),
    ("a client does not say with which welcome it began", "client/resume.rs", "(self.session.hello.attempt, nonce);", "(self.session.hello.attempt, None);"),
    ("who was there is forgotten", "session/table.rs", "None => self.tombstones.get(&id).map(|(attempt, _)| *attempt),", "None => None,"),
    ("those that are ended leave nothing", "session/table.rs", "self.bury(id, &session, peer, now);\n        } else", "_ = peer;\n        } else"),
    ("those that did the most go first", "session/quota.rs", "self.by_work.first()", "self.by_work.last()"),
    ("of different addresses those that did the most go first", "session/quota.rs", "(executed, Reverse(amount), since, id)", "(Reverse(executed), Reverse(amount), since, id)"),
    ("the smallest go first", "session/quota.rs", "self.by_size.first()", "self.by_size.last()"),
    ("who has the least loses its sessions", "session/quota.rs", "(executed, Reverse(amount), since, id)", "(executed, amount, since, id)"),
    ("an age counts before what others have", "session/quota.rs", "(executed, Reverse(amount), since, id)", "(executed, since, Reverse(amount), id)"),
    ("nobody keeps anything", "session/quota.rs", "limit / (2 * self.peers.len())", "limit / (2 * self.peers.len()) / limit"),
    ("everybody keeps a whole share", "session/quota.rs", "limit / (2 * self.peers.len())", "limit / self.peers.len()"),
    ("half a share and one is lost", "session/quota.rs", "self.0.range(kept + 1..)", "self.0.range(kept..)"),
    ("who has gone still counts", "session/quota.rs", "            peers.remove(&peer);\n", "            _ = peers;\n"),
    ("what was read back is of one address", "session/table.rs", "self.wait(id, session, Peer::restored(id), now);", "self.wait(id, session, Peer::restored(Id([0; 16])), now);"),
    ("what was read back is of no address", "session/table.rs", "self.wait(id, session, Peer::restored(id), now);", "self.wait(id, session, Peer::default(), now);"),
    ("what was read back waits for ever", "session/table.rs", ".or_else(|| self.restored.next_to_go(now))", ""),
    ("each that was read back has a share of what is remembered", "session/quota.rs", "Peer(Kind::Gone)", "self"),
    ("a journal brings back all faults", "session.rs", "let kept = if fits { response } else { &[] };", "let kept = if fits { response } else { response };"),
    ("all addresses are one", "session/quota.rs", "address => address,", "_ => Ipv6Addr::UNSPECIFIED.into(),"),
]
TRACE = [
    ("only what is as long as an id is hidden", "trace/secret.rs", "None => 0..end,", "None => end..end,"),
    ("what is longer than an id is hidden in part", "trace/secret.rs", "range.start..range.end.max(end)", "range"),
    ("a wrong id is printed as it is", "trace/show.rs", "if is_session && !secret::is_standing(reader.rest()) {", "if is_session && reader.rest().first() == Some(&0xc4) {"),
    ("how a session stands is hidden", "trace/secret.rs", "name.is_ok_and(", "name.is_err_and(|_| false) && Reader::new(bytes).bytes().is_ok_and("),
]
DAMAGE = [
    ("who is awake has nothing collected for it", "handoff.rs", "for (_, words) in &mut pending.by_subscriber {", "for (_, words) in pending.by_subscriber.iter_mut().take(1) {"),
]
# Where the files are, what is tested, and with what.
SUITES = [
    ("protocol/src", SESSIONS, f"{TEST} draw-protocol --lib --test sessions --test lying_server --test checksums --test simulation"),
    ("protocol/src", TRACE, f"{TEST} draw-protocol --lib --test trace secret"),
    ("display-server/src/framebuffer", DAMAGE, f"{TEST} interleavings damage"),
]


def fail(sentence):
    sys.exit(f"quoted_mutations.py: {sentence}")


def passes(tree, tests):
    """Whether these tests do, in this tree. Those that do not compile are a mistake of this list."""
    # What is built goes where nothing else is built: cargo would take a copy for the original.
    environment = os.environ | {"CARGO_TARGET_DIR": os.path.join(tree, "target"), "RUST_BACKTRACE": "0"}
    environment.setdefault("SEEDS", "300")
    # It is built dozens of times, each time with one line changed.
    environment["CARGO_INCREMENTAL"] = "1"
    built = subprocess.run(tests.split() + ["--no-run"], cwd=tree, env=environment, capture_output=True, text=True)
    if built.returncode != 0:
        fail(f"it does not compile:\n{built.stderr}")
    try:
        done = subprocess.run(tests.split(), cwd=tree, env=environment, capture_output=True, timeout=300)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main(words):
    chosen = [
        (os.path.join(source, name), what, old, new, tests)
        for source, mutations, tests in SUITES
        for what, name, old, new in mutations
        if all(word in what for word in words)
    ]
    if not chosen:
        fail("there is no such mutation")
    survivors = []
    with tempfile.TemporaryDirectory() as scratch:
        tree = os.path.join(scratch, "tree")
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("target", ".git"))
        for name, what, old, new, tests in chosen:
            path = os.path.join(tree, name)
            with open(path) as file:
                source = file.read()
            if source.count(old) < 1:
                fail(f"{name} has no '{old}' any more")
            with open(path, "w") as file:
                file.write(source.replace(old, new, 1))
            is_found = not passes(tree, tests)
            print(f"  {what}: {'found' if is_found else 'NOT FOUND'}", flush=True)
            survivors += [] if is_found else [what]
            with open(path, "w") as file:
                file.write(source)
    if survivors:
        fail(f"no test fails when {'; or when '.join(survivors)}")


main(sys.argv[1:])
