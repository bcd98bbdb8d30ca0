//! Code shared by the tests of the clients: a real server, and the clients behind one trait.

#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod cutter;
pub(crate) mod peer;
pub(crate) mod program;

use display_server::{Display as Screen, Server, ServerOptions};
use draw_client::{Color, Digest, Display, LateError, Pixel, Position, Result, Size, blocking};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

/// The longest wait of a test: a longer one fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for a future that must complete within the deadline.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it came within the deadline")
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The errors that a callback has received.
pub(crate) type Heard = Arc<Mutex<Vec<LateError>>>;

/// Returns a callback that records its errors, and the record.
pub(crate) fn ear() -> (impl FnMut(LateError) + Send + 'static, Heard) {
    let heard = Heard::default();
    let writes = Arc::clone(&heard);
    (move |late| writes.lock().unwrap().push(late), heard)
}

/// Returns the numbers of the calls in the recorded errors.
pub(crate) fn numbers(heard: &Heard) -> Vec<u64> {
    heard.lock().unwrap().iter().flat_map(|late| late.calls().map(|call| call.number())).collect()
}

/// Returns the text of an error of one call without its variable end, the number of later calls and the age.
pub(crate) fn text(late: &LateError) -> String {
    let text = late.to_string();
    let since = late.calls().next().unwrap().calls_since();
    let age = format!(" ({since} call{} and ", if since == 1 { "" } else { "s" });
    let (text, age) = text.split_at(text.rfind(&age).expect("its age"));
    assert_age(age);
    text.to_owned()
}

/// Checks the unit of an age. A machine under load may take more than a second for what takes microseconds elsewhere.
pub(crate) fn assert_age(text: &str) {
    assert!([" us ago)", " ms ago)", " s ago)"].iter().any(|end| text.ends_with(end)), "{text}");
}

pub(crate) fn texts(heard: &Heard) -> Vec<String> {
    heard.lock().unwrap().iter().map(text).collect()
}

/// A display server on a port of its own, stopped when dropped.
pub(crate) struct TestServer {
    pub(crate) address: String,
    pub(crate) screen: Screen,
    _stop: tokio::sync::oneshot::Sender<()>,
    runtime: Option<Runtime>,
}

impl TestServer {
    pub(crate) fn start(width: u32, height: u32) -> TestServer {
        let screen = Screen::new(Size { width, height }, Color::BLACK).unwrap();
        TestServer::serve(Server::new(screen, ServerOptions::default()))
    }

    pub(crate) fn serve(server: Server) -> TestServer {
        let (runtime, screen) = (runtime(), server.display().clone());
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        runtime.spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.run(listener, stopped).await.unwrap();
        });
        TestServer { address, screen, _stop: stop, runtime: Some(runtime) }
    }

    /// Returns the color of a pixel, read from the framebuffer, not over the network.
    pub(crate) fn shown(&self, x: i32, y: i32) -> Color {
        self.screen.framebuffer().get_pixel(x, y).unwrap()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The interface of all clients: each call waits for its outcome.
pub(crate) trait Client {
    fn draw_pixel(&self, x: i32, y: i32, color: Color) -> Result<()>;
    fn draw_pixels(&self, pixels: &[Pixel]) -> Result<()>;
    fn fill_rect(&self, x: i32, y: i32, width: u32, height: u32, color: Color) -> Result<()>;
    fn put_image(&self, x: i32, y: i32, width: u32, height: u32, rgba: &[u8]) -> Result<()>;
    fn clear(&self, color: Color) -> Result<()>;
    fn add_pixel(&self, x: i32, y: i32, amount: u32) -> Result<()>;
    fn add_pixels(&self, pixels: &[Pixel]) -> Result<()>;
    fn get_pixel(&self, x: i32, y: i32) -> Result<Color>;
    fn get_image(&self, x: i32, y: i32, width: u32, height: u32) -> Result<Vec<u8>>;
    fn get_digest(&self, x: i32, y: i32, width: u32, height: u32) -> Result<Digest>;
    fn get_size(&self) -> Result<Size>;
    fn get_mouse(&self) -> Result<Option<Position>>;
    fn sync(&self) -> Result<()>;
    fn sync_durable(&self) -> Result<()>;
    fn close(&self) -> Result<()>;
}

pub(crate) struct Asynchronous {
    pub(crate) runtime: Runtime,
    pub(crate) display: Display,
}

/// Implements `Client` for each client: a drawing call waits for its reply.
macro_rules! client {
    (draw { $($draw:ident($($dp:ident: $dt:ty),*);)+ } ask { $($ask:ident($($ap:ident: $at:ty),*) -> $answer:ty;)+ }) => {
        impl Client for blocking::Display {
            $(fn $draw(&self, $($dp: $dt),*) -> Result<()> { blocking::Display::$draw(self, $($dp),*) })+
            $(fn $ask(&self, $($ap: $at),*) -> Result<$answer> { blocking::Display::$ask(self, $($ap),*) })+
        }
        impl Client for blocking::Pipeline {
            $(fn $draw(&self, $($dp: $dt),*) -> Result<()> { blocking::Pipeline::$draw(self, $($dp),*)?.wait() })+
            $(fn $ask(&self, $($ap: $at),*) -> Result<$answer> { blocking::Pipeline::$ask(self, $($ap),*) })+
        }
        impl Client for Asynchronous {
            $(fn $draw(&self, $($dp: $dt),*) -> Result<()> {
                self.runtime.block_on(soon(async { self.display.$draw($($dp),*).await?.await }))
            })+
            $(fn $ask(&self, $($ap: $at),*) -> Result<$answer> {
                self.runtime.block_on(soon(self.display.$ask($($ap),*)))
            })+
        }
    };
}

client! {
    draw {
        draw_pixel(x: i32, y: i32, color: Color);
        draw_pixels(pixels: &[Pixel]);
        fill_rect(x: i32, y: i32, width: u32, height: u32, color: Color);
        put_image(x: i32, y: i32, width: u32, height: u32, rgba: &[u8]);
        clear(color: Color);
        add_pixel(x: i32, y: i32, amount: u32);
        add_pixels(pixels: &[Pixel]);
    }
    ask {
        get_pixel(x: i32, y: i32) -> Color;
        get_image(x: i32, y: i32, width: u32, height: u32) -> Vec<u8>;
        get_digest(x: i32, y: i32, width: u32, height: u32) -> Digest;
        get_size() -> Size;
        get_mouse() -> Option<Position>;
        sync() -> ();
        sync_durable() -> ();
        close() -> ();
    }
}

/// Runs one test body over the blocking client, over the pipeline made of one, and over the asynchronous client, each
/// against a fresh server.
pub(crate) fn over_each(width: u32, height: u32, body: impl Fn(&dyn Client, &TestServer)) {
    let server = TestServer::start(width, height);
    let display = blocking::Display::connect(&server.address).unwrap();
    body(&display, &server);

    let server = TestServer::start(width, height);
    let display = blocking::Display::connect(&server.address).unwrap();
    body(&display.pipelined().unwrap(), &server);

    let server = TestServer::start(width, height);
    let runtime = runtime();
    let display = runtime.block_on(soon(Display::connect(&server.address))).unwrap();
    body(&Asynchronous { runtime, display }, &server);

    // A single thread, on which the client's driver runs only while the program waits.
    let server = TestServer::start(width, height);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let display = runtime.block_on(soon(Display::connect(&server.address))).unwrap();
    body(&Asynchronous { runtime, display }, &server);
}
