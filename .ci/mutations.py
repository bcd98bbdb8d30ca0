"""Changes functions of draw-protocol, and lock-free code, in one place at a time, in a copy, and checks that a test
fails each time.

    python3 .ci/mutations.py                  all of them, some minutes
    python3 .ci/mutations.py WORD...          only those of functions whose path contains one of the words
    python3 .ci/mutations.py --list WORD...   lists them without running tests

The mutants are found in the source: see mutants.py. This file lists functions, by their paths, and those of their
mutants that no test can find. A function that does not exist, one without a mutant, and an unused excuse are errors.

All mutants of a package are built at once: each function contains all of its bodies, and the environment variable
MUTANT selects the one to run. So a mutant takes only the time of the tests that find it, and there can be hundreds.
Needs the standard library of Python 3.11 and cargo.
"""
import difflib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor, as_completed

from mutants import Source, check, mutants

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

# Functions by module, one module per line. The tests are binaries with the words that filter their tests, run in this
# order. `root` is the root file of the crate in which the functions are compiled.
Suite = namedtuple("Suite", "root source kinds tests functions")

SESSIONS, CHECKSUMS = ("sessions", ""), ("checksums", "")
LYING_SERVER, SIMULATION = ("lying_server", ""), ("simulation", "seeds")
BAD_REQUESTS, CONVERSATION, DURABLE = ("bad_requests", ""), ("conversation", ""), ("durable", "")
DISPLAYS, SPEC, LARGE_CALLS = ("displays", ""), ("spec", ""), ("large_calls", "")


def unit(module):
    return ("draw_protocol", module)


LIBRARY, SOURCE = "protocol/src/lib.rs", "protocol/src"

SUITES = [
    # A request is executed exactly once.
    Suite(LIBRARY, SOURCE, ["logic"], [unit("session::filter"), unit("session::tests"), SESSIONS, SIMULATION], """
        session::filter: Filter::handle_request Filter::handle_other Filter::acknowledge Filter::executed Filter::replay
            Filter::interrupt Filter::retract Filter::last_digest
        session: Session::ended Session::acknowledge Session::unanswer Session::forget Session::executed Session::responded
            Session::replay Session::stamp Session::tell Session::end Session::interrupt Session::write_response write_kept
            number_near
        session::resume: Session::begin Session::enter
        session::persist: Session::encode Session::decode take
    """),
    # A session is kept for the promised time, within limits.
    Suite(LIBRARY, SOURCE, ["logic"], [unit("session::table"), unit("session::quota"), SESSIONS], """
        session::table: Sessions::claim Sessions::park Sessions::restore Sessions::wait Sessions::forget Sessions::expire
            Sessions::waiting Sessions::unpark Sessions::bury Sessions::unbury
        session::quota: Peer::from Peer::of_tombstone Ranking::remove Ranking::first_above Lot::rank Quota::insert
            Quota::remove Quota::change Quota::next_to_go
    """),
    # The server confirms a session, and holds back replies that are not on the disk.
    Suite(LIBRARY, SOURCE, ["logic"], [SESSIONS, DURABLE, CHECKSUMS, BAD_REQUESTS, CONVERSATION, DISPLAYS, SPEC, SIMULATION], """
        server::session: Connection::take_session ConnectionState::check_number ConnectionState::pass_over
            ConnectionState::handle_session ConnectionState::handle_unconfirmed ConnectionState::resume
            ConnectionState::overtaken
        server::handshake: ConnectionState::greet ConnectionState::end_late_hello ConnectionState::turn_away
        server::answer: ConnectionState::respond ConnectionState::responded ConnectionState::end_unreadable
        server::durability_gate: DurabilityGate::advance Connection::release Connection::forget_held
            ConnectionState::close_gate
    """),
    # The client retransmits requests that may not have been executed, and reports each call once.
    Suite(LIBRARY, SOURCE, ["logic"], [unit("client"), SESSIONS, CHECKSUMS, LARGE_CALLS, SIMULATION, LYING_SERVER], """
        client::flight: Flight::handle_sent Flight::last_begun Flight::bytes_after Flight::pop Flight::give_up
        client::send_buffer: SendBuffer::open SendBuffer::unsent SendBuffer::swap SendBuffer::rewind SendBuffer::keep
        client::send: Connection::prepare_to_send
        client::resume: Connection::is_resumable Connection::reconnect Connection::check_display Connection::begin
            Connection::confirm Connection::refuse_too_large Connection::give_up_to Connection::write_ack
            Connection::end_session last_message
        client::receive: Connection::handle_progress
        client::corruption: Connection::corrupted Connection::unreadable Connection::note_message Connection::handle_timeout
            Connection::poll_timeout
    """),
    Suite(LIBRARY, SOURCE, ["logic"], [unit("reconnect"), SIMULATION], """
        reconnect: Reconnect::handle_dialed Reconnect::handle_failed Reconnect::handle_connected Reconnect::handle_timeout
            Reconnect::give_up Reconnect::poll_timeout Reconnect::wait
        reconnect::outage: Outage::fail Previous::set
        reconnect::kind: Kind::of_goodbye Kind::may_return Kind::may_greet_again Kind::may_recur
        client::ended: Kind::from
    """),
    Suite(LIBRARY, SOURCE, ["logic"], [unit("codec::checksum"), CHECKSUMS, SESSIONS, SIMULATION], """
        codec::checksum: Verifier::is_known Verifier::verify Verifier::compare
    """),
    Suite(LIBRARY, SOURCE, ["logic"], [unit("secret"), ("trace", "secret")], """
        trace::secret: hide is_standing is_key whole beginning_shown text
    """),
]
SHARED = [
    ("display-server/src/canvas/framebuffer", "damage::", """
        handoff: Handoff::publish Handoff::collect Subscriber::take
    """),
    ("display-server/src/sessions", "sessions::", "holder: Holder::want"),
    ("display-server/src/window", "window::", "wake_coalescer: WakeCoalescer::wake WakeCoalescer::woken"),
    ("draw-client/src/completion", "replies::", "last_dropped: LastDropped::leave LastDropped::take LastDropped::set_results"),
]
SUITES += [
    Suite("fuzz/interleavings/main.rs", source, ["orderings", "order"], [("interleavings", model)], functions)
    for source, model, functions in SHARED
]

# Mutants that no test can find: the function, the change, the number of places, and why the change is harmless.
Excuse = namedtuple("Excuse", "name label count reason")
EXCUSED = [
    Excuse("client::resume::Connection::begin", "`<` becomes `<=`", 1, "With the same limit nothing is too large."),
    Excuse("client::resume::Connection::refuse_too_large", "a condition of `if` is false", 1, "What fits with all before it fits alone."),
    Excuse("client::resume::Connection::refuse_too_large", "`<=` becomes `<`", 1, "What fits with all before it fits alone."),
    Excuse("client::send_buffer::SendBuffer::swap", "`>` becomes `>=`", 1, "A part of no bytes is kept nowhere."),
    Excuse("session::filter::Filter::acknowledge", "`>` becomes `>=`", 1, "Nothing is acknowledged then, and none of nothing is dropped."),
    Excuse("session::Session::unanswer", "`>` becomes `>=`", 1, "A request that may have drawn is none whose answer is not kept."),
    Excuse("session::Session::unanswer", "`>=` becomes `>`", 1, "The request itself has no response that is kept."),
    Excuse("trace::secret::hide", "`<` becomes `<=`", 1, "Nothing is found behind the last byte."),
    Excuse("trace::secret::hide", "`max` becomes `min`", 1, "What was found is never empty."),
    Excuse("trace::secret::hide", "`+` becomes `-`", 1, "What was found is never empty."),
    Excuse("trace::secret::hide", "`1` becomes `0`", 1, "What was found is never empty."),
    Excuse("trace::secret::text", "`8` becomes `7`", 1, "Only the length of an id counts, which has one byte."),
    Excuse("codec::checksum::Verifier::verify", "a condition of `if` is false", 1, "It is a shorter way to what `compare` returns then."),
    Excuse(
        "handoff::Subscriber::take",
        "`self.waker.is_woken.fetch_and` behind `let mut pending`",
        1,
        "The flag is cleared before the words are collected all the same.",
    ),
]

PACKAGES = ["draw-protocol", "interleavings"]
SWITCH = """
/// Which mutant runs: 0 for none.
#[doc(hidden)]
pub fn mutant() -> u32 {
    static MUTANT: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *MUTANT.get_or_init(|| std::env::var("MUTANT").map_or(0, |number| number.parse().expect("a number")))
}
"""
# Optimised, since one build is run hundreds of times.
PROFILE = ["--config", "profile.dev.debug=false"]
for package in ("draw-protocol", "xxhash-rust", "rmp"):
    PROFILE += ["--config", f"profile.dev.package.{package}.opt-level=1"]
# Enough for the mutants that only the simulation finds.
SEEDS, CASES = "300", "48"
MEMORY_KIB = 8 << 20
# For a test that waits forever: it uses no processor time.
DEADLINE = 300


class Changed:
    """One mutant of one function, by its number."""

    def __init__(self, number, suite, path, name, source, function, mutant):
        self.number, self.suite, self.path, self.name = number, suite, path, name
        self.source, self.function, self.label = source, function, mutant.label
        self.line = source.line(mutant.start)
        self.text = source.text[: mutant.start] + mutant.text + source.text[mutant.end :]
        start, end = source.body(function)
        self.body = source.text[start : mutant.start] + mutant.text + source.text[mutant.end : end]

    def diff(self):
        lines = difflib.unified_diff(self.source.text.splitlines(), self.text.splitlines(), lineterm="", n=1)
        return "\n".join(f"      {line}" for line in list(lines)[3:])

    def __str__(self):
        return f"{self.path}:{self.line}: {self.name}: {self.label}"


def fail(sentence):
    sys.exit(f"mutations.py: {sentence}")


def module_path(source, module):
    """Returns the file of a module, relative to the root."""
    stem = os.path.join(source, *module.split("::"))
    for path in (f"{stem}.rs", os.path.join(stem, "mod.rs")):
        if os.path.exists(os.path.join(ROOT, path)):
            return path
    fail(f"there is no module {module} in {source}: is it called otherwise now?")


def find(words):
    """Returns all mutants of the chosen functions."""
    found = []
    sources = {}
    for suite in SUITES:
        module = None
        for word in suite.functions.split():
            if word.endswith(":"):
                module = word[:-1]
                continue
            name = f"{module}::{word}"
            path = module_path(suite.source, module)
            if words and not any(part in name for part in words):
                continue
            if path not in sources:
                with open(os.path.join(ROOT, path)) as file:
                    sources[path] = Source(file.read())
            source = sources[path]
            functions = source.functions.get(word, [])
            if len(functions) != 1:
                fail(f"{path} has {len(functions) or 'no'} functions {word}: is it called otherwise now?")
            if functions[0].is_const:
                fail(f"{path}: {word} is const: a mutant of it cannot be chosen at run time")
            of_it = mutants(source, functions[0], suite.kinds)
            if not of_it:
                fail(f"{path}: there is nothing to change in {word}: it need not be listed")
            for mutant in of_it:
                found.append(Changed(len(found) + 1, suite, path, name, source, functions[0], mutant))
    if not found:
        fail("there is no such function in the list")
    return found


def write_tree(tree, all_mutants):
    """Writes each file with all of these mutants. Returns the mutant of each line."""
    owners = {}
    for path in {mutant.path for mutant in all_mutants}:
        own = [mutant for mutant in all_mutants if mutant.path == path]
        source = own[0].source
        out, done = [], 0
        for function in sorted({mutant.function for mutant in own}):
            start, end = source.body(function)
            out.append(source.text[done:start])
            out.append("{ match crate::mutant() {\n")
            for mutant in own:
                if mutant.function == function:
                    first = sum(text.count("\n") for text in out) + 1
                    out.append(f"{mutant.number} => {mutant.body}\n")
                    owners |= {(path, first + i): mutant.number for i in range(out[-1].count("\n"))}
            out.append(f"_ => {source.text[start:end]}\n}} }}")
            done = end
        out.append(source.text[done:])
        with open(os.path.join(tree, path), "w") as file:
            file.write("".join(out))
    return owners


def cargo(tree, *arguments):
    """Runs cargo in the tree, and returns its output."""
    # Uses a separate target directory: cargo would take the copy for the original.
    environment = os.environ | {"CARGO_TARGET_DIR": f"{tree}-target", "CARGO_INCREMENTAL": "0", "RUSTFLAGS": "--cap-lints=allow"}
    command = ["cargo", *arguments, *PROFILE, "--locked", "--message-format=json"]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode == 0, messages, done.stderr


def leave_out_what_does_not_compile(tree, all_mutants):
    """Returns the mutants that compile, and leaves exactly those in the tree."""
    while True:
        owners = write_tree(tree, all_mutants)
        chosen = [option for package in PACKAGES for option in ("-p", package)]
        is_built, messages, stderr = cargo(tree, "check", *chosen, "--lib", "--test", "interleavings")
        if is_built:
            return all_mutants
        errors = [m["message"] for m in messages if m["reason"] == "compiler-message" and m["message"]["level"] == "error"]
        wrong = set()
        for error in errors:
            spans = error["spans"] + [span for child in error["children"] for span in child["spans"]]
            for span in sorted(spans, key=lambda span: not span["is_primary"]):
                path = os.path.normpath(os.path.join(tree, span["file_name"]))
                owner = owners.get((os.path.relpath(path, tree), span["line_start"]))
                if owner:
                    wrong.add(owner)
                    break
        if not wrong:
            fail("it does not compile:\n" + "\n".join(error["rendered"] for error in errors) + stderr)
        all_mutants = [mutant for mutant in all_mutants if mutant.number not in wrong]


def build(tree, suites):
    """Builds the tests. Returns the binary of each, and the directory to run it in."""
    names = {name for suite in suites for name, _ in suite.tests}
    options = ["-p", "interleavings"] if "interleavings" in names else []
    options += ["-p", "draw-protocol", "--lib"] if names - {"interleavings"} else []
    for name in sorted(names - {"draw_protocol"}):
        options += ["--test", name]
    is_built, messages, stderr = cargo(tree, "test", "--no-run", *options)
    if not is_built:
        fail("the tests do not compile:\n" + stderr)
    return {
        m["target"]["name"]: (m["executable"], os.path.dirname(m["manifest_path"]))
        for m in messages
        if m["reason"] == "compiler-artifact" and m["profile"]["test"] and m["executable"]
    }


class Tests:
    """The binaries of the tests, and the time that each takes without a mutant."""

    def __init__(self, binaries):
        self.binaries = binaries
        self.seconds = {}

    def run(self, test, number):
        """Returns whether a test passes with this mutant, and the processor time that it took."""
        name, words = test
        binary, directory = self.binaries[name]
        # Of the processor, so that a busy machine does not matter.
        limit = int(4 * self.seconds.get(test, 60)) + 3
        shell = f"ulimit -c 0 -t {limit} -v {MEMORY_KIB}; exec \"$0\" \"$@\""
        environment = os.environ | {"MUTANT": str(number), "SEEDS": SEEDS, "PROPTEST_CASES": CASES, "RUST_BACKTRACE": "0", "RUST_TEST_THREADS": "1"}
        command = ["bash", "-c", shell, binary, "-q", *words.split()]
        with open(os.devnull, "wb") as nowhere:
            process = subprocess.Popen(command, cwd=directory, env=environment, stdout=nowhere, stderr=nowhere)
            killer = threading.Timer(DEADLINE, process.kill)
            killer.start()
            _, status, usage = os.wait4(process.pid, 0)
            killer.cancel()
            process.returncode = status
        return status == 0, usage.ru_utime + usage.ru_stime

    def measure(self, suites):
        for test in dict.fromkeys(test for suite in suites for test in suite.tests):
            passes, self.seconds[test] = self.run(test, 0)
            print(f"  {' '.join(test).strip()}: {self.seconds[test]:.1f} s", flush=True)
            if not passes:
                fail(f"{' '.join(test)} fails without a mutant")

    def find(self, mutant):
        """Returns the test that finds a mutant, and the time that this took."""
        took = 0
        for test in mutant.suite.tests:
            passes, seconds = self.run(test, mutant.number)
            took += seconds
            if not passes:
                return test[0], took
        return None, took


def main(words):
    is_list = words[:1] == ["--list"]
    words = words[is_list:]
    wrong = check()
    if wrong:
        fail(f"mutants.py is wrong: {wrong}")
    all_mutants = find(words)
    if is_list:
        print("\n".join(map(str, all_mutants)))
        return
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        tree = os.path.join(scratch, "tree")
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("target", ".git"))
        for root in {mutant.suite.root for mutant in all_mutants}:
            with open(os.path.join(tree, root), "a") as file:
                file.write(SWITCH)
        tried = leave_out_what_does_not_compile(tree, all_mutants)
        lost = {mutant.name for mutant in all_mutants} - {mutant.name for mutant in tried}
        suites = [suite for suite in SUITES if any(mutant.suite is suite for mutant in tried)]
        tests = Tests(build(tree, suites))
        print(f"{len(tried)} mutants compile, of {len(all_mutants)}; built after {time.monotonic() - began:.0f} s", flush=True)
        tests.measure(suites)
        survivors = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            pending = {pool.submit(tests.find, mutant): mutant for mutant in tried}
            for done in as_completed(pending):
                mutant, (test, seconds) = pending[done], done.result()
                print(f"  {mutant}: {test or 'NOT FOUND'}, {seconds:.1f} s", flush=True)
                survivors += [] if test else [mutant]
        survivors.sort(key=lambda mutant: mutant.number)
    mistakes = [f"no mutant of {name} compiles: it need not be listed" for name in sorted(lost)]
    excused = 0
    for name, label, count, _ in EXCUSED:
        if words and not any(word in name for word in words):
            continue
        of_it = [mutant for mutant in survivors if (mutant.name, mutant.label) == (name, label)]
        if len(of_it) == count:
            survivors = [mutant for mutant in survivors if mutant not in of_it]
            excused += count
        else:
            mistakes.append(f"{count} mutants are excused of {name}: {label}; {len(of_it)} were not found")
    for mutant in survivors:
        print(f"no test fails with {mutant}\n{mutant.diff()}")
    print("\n".join(mistakes))
    if survivors or mistakes:
        fail(f"{len(survivors)} mutants were not found, and the list has {len(mistakes)} mistakes")
    print(f"{len(tried) - excused} mutants found, {excused} excused, in {time.monotonic() - began:.0f} s")


main(sys.argv[1:])
