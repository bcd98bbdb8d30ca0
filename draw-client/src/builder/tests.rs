//! What a connection is made of.

use super::*;
use tokio::net::TcpListener;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dead_network_will_be_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stream = dial("127.0.0.1", port, now() + limits::CONNECT_TIMEOUT).await.expect("it listens");
    socket::check((&stream).into());
}
