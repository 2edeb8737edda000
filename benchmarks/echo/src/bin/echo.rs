//! A server that counts what it answers: `echo tcp | udp | websocket | grpc | mqtt [MILLISECONDS]`.
//!
//! It prints its port, and for each line on stdin how many messages it has answered so far. Each is answered after so many milliseconds (0).

use std::io;
use std::time::Duration;

use loadflow_echo::peers::grpc::Grpc;
use loadflow_echo::peers::mqtt::Mqtt;
use loadflow_echo::peers::plain::Plain;
use loadflow_echo::peers::websocket::WebSocket;
use loadflow_echo::serve::{datagrams, streams, tell_on_demand};
use loadflow_echo::talk::MESSAGE;

fn main() -> io::Result<()> {
    let mut given = std::env::args().skip(1);
    let kind = given.next().unwrap_or_default();
    let delay = given.next().map_or(Ok(0), |text| text.parse()).map_err(io::Error::other)?;
    let delay = Duration::from_millis(delay);
    tell_on_demand();
    match kind.as_str() {
        "tcp" => streams(|| Plain::new(MESSAGE.len()), delay),
        "udp" => datagrams(),
        "websocket" => streams(WebSocket::default, delay),
        "grpc" => streams(Grpc::default, delay),
        "mqtt" => streams(Mqtt::default, delay),
        _ => Err(io::Error::other("which one? tcp, udp, websocket, grpc or mqtt")),
    }
}
