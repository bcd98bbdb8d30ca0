//! Tests several displays in one server: `--add`, addresses with a name, and their isolation.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use display_server::{DisplayName, Options, Present, with_display};
use draw_client::blocking::{Display, Pipeline};
use draw_client::{Color, ConnectOptions, Durability};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Limit for anything a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

fn size(width: u32, height: u32) -> display_server::Size {
    display_server::Size { width, height }
}

/// A server in this process with the displays main (64x48) and plots (8x4).
fn two() -> Options {
    Options {
        size: size(64, 48),
        displays: vec![("plots".parse().unwrap(), size(8, 4))],
        listen: "127.0.0.1:0".into(),
        present: Present::None,
        ..Options::default()
    }
}

#[test]
fn two_displays_of_one_server_do_not_see_each_others_pixels() {
    with_display(two(), |own| {
        let address = own.address();
        let plots = Display::connect(&format!("{address}/plots")).unwrap();
        let main = Display::connect(&format!("{address}/main")).unwrap();
        let plain = Display::connect(&address.to_string()).unwrap();
        assert_eq!((plots.name(), main.name(), plain.name()), (Some("plots"), Some("main"), None));
        assert_eq!((plots.size(), main.size(), plain.size()), (size(8, 4), size(64, 48), size(64, 48)));
        plots.draw_pixel(1, 1, Color::RED).unwrap();
        main.draw_pixel(2, 1, Color::GREEN).unwrap();
        assert_eq!(plots.get_pixel(1, 1).unwrap(), Color::RED);
        assert_eq!(plots.get_pixel(2, 1).unwrap(), Color::BLACK);
        assert_eq!(plain.get_pixel(1, 1).unwrap(), Color::BLACK);
        assert_eq!(plain.get_pixel(2, 1).unwrap(), Color::GREEN);
        assert!(plots.draw_pixel(20, 20, Color::RED).unwrap_err().to_string().contains("8x4"));
        // The pointers are separate, too.
        own.display().set_mouse(Some(display_server::Position { x: 5, y: 6 }));
        assert_eq!((plain.get_mouse().unwrap().is_some(), plots.get_mouse().unwrap()), (true, None));
    })
    .unwrap();
}

#[test]
fn the_statistics_of_two_displays_are_apart() {
    with_display(two(), |own| {
        let plots = Display::connect(&format!("{}/plots", own.address())).unwrap();
        for x in 0..5 {
            plots.draw_pixel(x, 0, Color::RED).unwrap();
        }
        assert!(plots.draw_pixel(99, 0, Color::RED).is_err());
        let of_plots = own.display_named("plots").unwrap().stats();
        assert_eq!(
            (of_plots.executed, of_plots.faults, of_plots.connections, of_plots.accepted),
            (6, 1, 1, 1)
        );
        assert!(of_plots.buffered > 0);
        let of_main = own.display().stats();
        assert_eq!(of_main, display_server::Stats::default());
        assert!(own.display_named("main").is_some() && own.display_named("chart").is_none());
    })
    .unwrap();
}

#[test]
fn an_unknown_name_is_an_error_of_each_client_that_lists_the_names() {
    with_display(two(), |own| {
        let address = format!("{}/chart", own.address());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let errors = [
            Display::connect(&address).map(drop).unwrap_err(),
            Pipeline::connect(&address).map(drop).unwrap_err(),
            runtime.block_on(draw_client::Display::connect(&address)).map(drop).unwrap_err(),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(
                text.contains("this server has no display \"chart\"; its displays are main, plots"),
                "{text}"
            );
            assert!(matches!(error, draw_client::Error::Disconnected { .. }));
        }
        // The other clients connect to the display they ask for.
        let plots = format!("{}/plots", own.address());
        let pipeline = Pipeline::connect(&plots).unwrap();
        let display = runtime.block_on(draw_client::Display::connect(&plots)).unwrap();
        assert_eq!((pipeline.name(), pipeline.size()), (Some("plots"), size(8, 4)));
        assert_eq!((display.name(), display.size()), (Some("plots"), size(8, 4)));
    })
    .unwrap();
}

/// Sends these bytes, ends the sending side, and returns everything that is received.
fn say(address: impl std::net::ToSocketAddrs, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut told = Vec::new();
    stream.read_to_end(&mut told).unwrap();
    told
}

/// Returns a `hello` with these keys, the first of them `version`.
fn hello(keys: &str, more: &[u8]) -> Vec<u8> {
    let map = 0x80 | (1 + keys.split_terminator(' ').count()) as u8;
    [&b"\x94\x00\x00\xa5hello\x91"[..], &[map], b"\xa7version\x01", more].concat()
}

#[test]
fn a_plain_connection_gets_the_first_display() {
    with_display(two(), |own| {
        // `[0, 1, "get_size", []]`, after a notification of `clear`.
        let told = say(own.address(), b"\x93\x02\xa5clear\x91\x07\x94\x00\x01\xa8get_size\x90");
        assert_eq!(told, b"\x94\x01\x01\xc0\x92\x40\x30");
        let pixel = |name| own.display_named(name).unwrap().framebuffer().get_pixel(0, 0).unwrap();
        assert_eq!((pixel("main"), pixel("plots")), (Color::from_u32(7), Color::BLACK));
    })
    .unwrap();
}

#[test]
fn a_client_of_before_there_were_names_gets_the_first_display_and_no_word_of_names() {
    with_display(two(), |own| {
        // The hello of commit 929d23f: {version: 1, client: "old", session: bin, confirms: true}.
        let keys = b"\xa6client\xa3old\xa7session\xc4\x10................\xa8confirms\xc3";
        let told = say(own.address(), &hello("client session confirms", keys));
        assert!(told.starts_with(b"\x94\x01\x00\xc0\x8d"), "{}", told.escape_ascii());
        let has = |text: &[u8]| told.windows(text.len()).any(|window| window == text);
        assert!(
            has(b"\xa5width\x40\xa6height\x30") && has(b"fresh") && has(b"nonce") && !has(b"display\xa4main")
        );
        // Three connections, one after the other: each ends as soon as it is answered.
        let told = say(own.address(), &hello("display", b"\xa7display\xa5plots"));
        assert!(told.windows(14).any(|window| window == b"\xa7display\xa5plots"), "{}", told.escape_ascii());
        // A name that is not a string is an invalid argument.
        let told = say(own.address(), &hello("display", b"\xa7display\x07"));
        assert!(told.windows(16).any(|window| window == b"invalid_argument"));
    })
    .unwrap();
}

#[test]
fn a_session_does_not_move_between_displays() {
    with_display(two(), |own| {
        let session = b"\xa7session\xc4\x10................";
        let begin = [&b"\xa7display\xa5plots"[..], session].concat();
        let begin = [hello("display session", &begin), b"\x94\x00\x01\xa5clear\x91\x07".to_vec()].concat();
        let told = say(own.address(), &begin);
        let at = told.windows(10).position(|window| window == b"\xa8instance\xc4").expect("it has one");
        let instance = told[at..at + 27].to_vec();
        assert!(told.windows(5).any(|window| window == b"fresh"));
        let again = |name: &[u8]| {
            // {display, session, instance, attempt: 2, born: 1, ack: 1, next: 2}
            let rest = b"\xa7attempt\x02\xa4born\x01\xa3ack\x01\xa4next\x02";
            let more = [b"\xa7display", name, session, &instance, rest].concat();
            let told = say(own.address(), &hello("display session instance attempt born ack next", &more));
            String::from_utf8_lossy(&told).into_owned()
        };
        let elsewhere = again(b"\xa4main");
        assert!(elsewhere.contains("state_lost") && !elsewhere.contains("resumed"), "{elsewhere}");
        // On its own display, the session still waits for its client.
        let there = again(b"\xa5plots");
        assert!(there.contains("resumed"), "{there}");
    })
    .unwrap();
}

#[test]
fn a_client_that_asks_for_a_name_fails_at_an_older_server_and_one_that_does_not_works() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The answer of commit 929d23f to any hello: it ignores the key.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut said = [0; 512];
            _ = stream.read(&mut said);
            let welcome = b"\x94\x01\x00\xc0\x88\xa7version\x01\xa6server\xa3old\xa5width\x40\xa6height\x30\
                \xa5calls\xce\x00\x01\x00\x00\xa5bytes\xce\x02\x00\x00\x00\xa7message\xce\x01\x00\x00\x00\
                \xa5batch\xce\x00\x01\x00\x00";
            stream.write_all(welcome).unwrap();
            std::thread::spawn(move || _ = stream.read_to_end(&mut Vec::new()));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let named = format!("{address}/plots");
    for error in [
        Display::connect(&named).map(drop).unwrap_err(),
        Pipeline::connect(&named).map(drop).unwrap_err(),
        runtime.block_on(draw_client::Display::connect(&named)).map(drop).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(
            text.contains("\"plots\"") && text.contains("this server is older and has one display only"),
            "{text}"
        );
    }
    let display = Display::connect(&address.to_string()).unwrap();
    assert_eq!((display.size(), display.name()), (size(64, 48), None));
    assert_eq!(
        runtime.block_on(draw_client::Display::connect(&address.to_string())).unwrap().size(),
        size(64, 48)
    );
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
    command.args(["--listen", "127.0.0.1:0", "--headless"]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program until it ends by itself, and returns its error.
fn refused(args: &[&str]) -> String {
    let Output { status, stderr, stdout } = command(args).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && stdout.is_empty(), "{args:?}: {text}");
    text
}

/// A temporary directory of one test, removed on drop.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path =
            std::env::temp_dir().join(format!("display-server-displays-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server, killed when it is dropped.
struct Server {
    child: Child,
    address: String,
    log: Receiver<String>,
}

impl Server {
    fn start(args: &[&str]) -> Server {
        let mut child = command(args).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (say, log) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| {
            panic!("{line:?}: {:?}", log.recv_timeout(PATIENCE));
        });
        Server { address: address.to_owned(), child, log }
    }

    fn at(&self, name: &str) -> Display {
        Display::connect(&format!("{}/{name}", self.address)).unwrap()
    }

    /// Waits for a line of the log that contains `text`, and returns it.
    fn logged(&self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {text:?} in the log"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn kill_9_and_a_restart_with_the_journals_of_two_displays_bring_both_back() {
    let directory = Directory::new("kill");
    let journal = directory.path("journal");
    let args = [
        "--log",
        "warn",
        "--journal",
        &journal,
        "--size",
        "64x48",
        "--add",
        "plots=8x4",
        "--add",
        "text-2=16x16",
    ];
    let server = Server::start(&args);
    let durable = ConnectOptions::new().durability(Durability::Durable);
    let plots = durable.connect_blocking(&format!("{}/plots", server.address)).unwrap();
    plots.draw_pixel(1, 1, Color::RED).unwrap();
    server.at("main").draw_pixel(2, 2, Color::GREEN).unwrap();
    server.kill();
    assert!(Path::new(&journal).join("displays/plots").is_dir());
    let check = |directory: &str| {
        let args = ["journal", "check", directory];
        let output = Command::new(env!("CARGO_BIN_EXE_display-server")).args(args).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    for (directory, records) in
        [(journal.clone(), "records   "), (format!("{journal}/displays/plots"), "records   ")]
    {
        let (is_whole, said) = check(&directory);
        assert!(is_whole && said.contains(records) && !said.contains("records   0"), "{said}");
    }

    let server = Server::start(&args);
    let (plots, main, text) = (server.at("plots"), server.at("main"), server.at("text-2"));
    assert_eq!((plots.get_pixel(1, 1).unwrap(), plots.get_pixel(2, 2).unwrap()), (Color::RED, Color::BLACK));
    assert_eq!((main.get_pixel(1, 1).unwrap(), main.get_pixel(2, 2).unwrap()), (Color::BLACK, Color::GREEN));
    assert_eq!(text.get_pixel(1, 1).unwrap(), Color::BLACK);
    // The directory of each display is locked.
    let said = refused(&["--journal", &format!("{journal}/displays/plots")]);
    assert!(said.contains("another server uses the journal in"), "{said}");
    plots.sync_durable().unwrap();
    server.end();

    // A display that is not added is not served and not changed, and the log names it.
    let server = Server::start(&["--log", "warn", "--journal", &journal, "--add", "text-2=16x16"]);
    let line = server.logged("which is not served");
    assert!(line.contains("displays/plots") && line.contains("--add plots=8x4"), "{line}");
    assert!(Display::connect(&format!("{}/plots", server.address)).is_err());
    server.end();
    let server = Server::start(&args);
    assert_eq!(server.at("plots").get_pixel(1, 1).unwrap(), Color::RED);
    server.end();

    let said = refused(&["--journal", &journal, "--add", "plots=9x4"]);
    assert!(said.contains("the display plots: the journal in") && said.contains("8x4, not 9x4"), "{said}");
}

#[test]
fn a_display_that_cannot_be_added_is_refused_before_anything_starts() {
    let many: Vec<String> = (0..32).map(|i| format!("--add=n{i}=1x1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (args, says) in [
        (&["--add", "Plots=8x4"][..], "the name of a display has 1 to 32 characters, each of a-z, 0-9 or -"),
        (&["--add", "plots"], "write name=width x height, for example plots=640x480"),
        (&["--add", "plots=0x4"], "each from 1 to 16384"),
        (
            &["--add", "main=8x4"],
            "invalid name \"main\" for a display (it is the first display's, whose size is --size)",
        ),
        (
            &["--add", "a=8x4", "--add", "b=8x4", "--add", "a=9x9"],
            "invalid name \"a\" for a display (it is taken)",
        ),
        (&many, "a server has at most 32 displays"),
    ] {
        let said = refused(args);
        assert!(said.contains(says), "{args:?}: {said}");
    }
}

#[test]
fn each_display_has_a_snapshot_of_its_own_and_lines_of_the_log_name_it() {
    let directory = Directory::new("snapshot");
    let snapshot = directory.path("shot.png");
    let server =
        Server::start(&["--snapshot", &snapshot, "--size", "5x5", "--add", "plots=8x4", "--log", "debug"]);
    let line = server.logged("size=8x4");
    assert!(line.contains("display=\"plots\"") || line.contains("display=plots"), "{line}");
    server.at("plots").clear(Color::RED).unwrap();
    kill_process(Pid::from_child(&server.child), Signal::USR1).unwrap();
    let line = server.logged("wrote the snapshots");
    assert!(line.contains("shot.png, ") && line.contains("shot-plots.png"), "{line}");
    server.end();
    for (file, wanted) in [("shot.png", (5, 5)), ("shot-plots.png", (8, 4))] {
        let file = std::io::BufReader::new(std::fs::File::open(directory.path(file)).unwrap());
        let info = png::Decoder::new(file).read_info().unwrap();
        assert_eq!((info.info().width, info.info().height), wanted);
    }
}

#[test]
fn a_client_comes_back_to_the_display_that_it_had() {
    let directory = Directory::new("back");
    let journal = directory.path("journal");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = || {
        let listen = format!("127.0.0.1:{port}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
        command.args([
            "--headless",
            "--log",
            "error",
            "--listen",
            &listen,
            "--journal",
            &journal,
            "--size",
            "64x48",
        ]);
        let mut child = command.args(["--add", "plots=8x4"]).stdout(Stdio::piped()).spawn().unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        child
    };
    let mut first = start();
    let address = format!("127.0.0.1:{port}/plots");
    let display = Display::connect(&address).unwrap();
    let pipeline = Pipeline::connect(&address).unwrap();
    display.draw_pixel(0, 0, Color::RED).unwrap();
    pipeline.draw_pixel(1, 0, Color::RED).unwrap().wait().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let mut second = start();
    display.draw_pixel(2, 0, Color::RED).unwrap();
    pipeline.draw_pixel(3, 0, Color::RED).unwrap().wait().unwrap();
    let row: Vec<_> = (0..5).map(|x| display.get_pixel(x, 0).unwrap() == Color::RED).collect();
    assert_eq!(row, [true, true, true, true, false]);
    assert_eq!(
        Display::connect(&format!("127.0.0.1:{port}")).unwrap().get_pixel(2, 0).unwrap(),
        Color::BLACK
    );
    let name: DisplayName = display.name().unwrap().parse().unwrap();
    assert_eq!(name.as_str(), "plots");
    second.kill().unwrap();
    second.wait().unwrap();
}
