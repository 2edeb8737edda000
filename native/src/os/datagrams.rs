//! A UDP socket that sends to one peer, and takes datagrams of that peer only.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::os::wire::Trouble;

pub struct Datagrams(UdpSocket);

impl Datagrams {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::from(address))?;
        Ok(Datagrams(socket.into()))
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub fn send(&self, datagram: &[u8]) -> Result<(), Trouble> {
        self.0.send(datagram)?;
        Ok(())
    }

    /// The next datagram, which may be empty.
    pub fn receive(&self, block: &mut [u8]) -> Result<usize, Trouble> {
        Ok(self.0.recv(block)?)
    }
}
