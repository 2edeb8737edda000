//! Users that send a message and wait for it to come back: `bare tcp | udp HOST:PORT SECONDS USERS`. It prints exchanges per second.

use std::io;
use std::time::Duration;

use loadflow_echo::talk::{over_tcp, over_udp};

fn main() -> io::Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [kind, to, seconds, users] = &given[..] else { return Err(io::Error::other("bare tcp | udp HOST:PORT SECONDS USERS")) };
    let to = to.parse().map_err(io::Error::other)?;
    let seconds: f64 = seconds.parse().map_err(io::Error::other)?;
    let users = users.parse().map_err(io::Error::other)?;
    let time = Duration::from_secs_f64(seconds);
    let done = match kind.as_str() {
        "tcp" => over_tcp(to, users, time)?,
        "udp" => over_udp(to, users, time)?,
        _ => return Err(io::Error::other("which one? tcp or udp")),
    };
    println!("{}", done as f64 / seconds);
    Ok(())
}
