//! A UDP socket of one peer on which many datagrams go at once: sent in one piece that the kernel cuts, received by the batch.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::os::socket::choose_port_late;

/// Of one read: the kernel may put up to 64 KiB of datagrams of one size together.
const BATCH: usize = 8;
const ROOM_BYTES: usize = 64 * 1024;
/// Asked for, for bursts of answers; the system may give less.
const BUFFER_BYTES: usize = 2 * 1024 * 1024;

pub struct Packets {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Where datagrams are received; all sockets of a loop share one.
pub struct Room(Box<[u8]>);

impl Default for Room {
    fn default() -> Self {
        Room(vec![0; BATCH * ROOM_BYTES].into())
    }
}

impl Packets {
    /// Of this peer; from an address, if one is given.
    pub fn open(to: SocketAddr, from: Option<IpAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(BUFFER_BYTES);
        if let Some(from) = from {
            choose_port_late(socket.as_raw_fd())?;
            socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
        }
        socket.connect(&SockAddr::from(to))?;
        let socket = UdpSocket::from(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Packets { socket, state })
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// So many datagrams may be sent in one piece.
    pub fn most_at_once(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends datagrams of one size, the last of which may be shorter.
    pub fn send(&self, to: SocketAddr, bytes: &[u8], size: Option<usize>, ecn: Option<EcnCodepoint>) -> io::Result<()> {
        let transmit = Transmit { destination: to, ecn, contents: bytes, segment_size: size, src_ip: None };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    /// Hands over the datagrams that are there. True: there may be more.
    pub fn receive(&self, room: &mut Room, mut each: impl FnMut(&[u8], usize, Option<EcnCodepoint>)) -> io::Result<bool> {
        let mut metas = [RecvMeta::default(); BATCH];
        let mut parts = room.0.chunks_mut(ROOM_BYTES);
        let mut slices: [IoSliceMut; BATCH] = std::array::from_fn(|_| IoSliceMut::new(parts.next().unwrap_or_default()));
        let count = self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)?;
        for (meta, slice) in metas.iter().zip(&slices).take(count) {
            each(&slice[..meta.len], meta.stride.max(1), meta.ecn);
        }
        Ok(count == BATCH)
    }
}
