//! One connection of one user: connect, TLS, write, read; nothing of it ever waits.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use rustls::{CipherSuite, ClientConnection, ProtocolVersion};

use crate::http::proxy::{self, Tunnel};
use crate::http::reading::Reader;
use crate::http::tls::HTTP_2;
use crate::os::wire::{Trouble, Wire};
use crate::plan::host::Proxy;
use crate::plan::outcome::{Failure, broken};

/// A version and a cipher of TLS.
pub type Agreed = (ProtocolVersion, CipherSuite);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    Connecting,
    /// A proxy is asked for a tunnel.
    Tunnel,
    Handshake,
    Sending,
    Receiving,
    Idle,
}

pub struct Conn {
    /// Which of the loop's origins it leads to.
    pub origin: usize,
    /// Tells the events of this connection from those of an earlier one of the same user.
    pub serial: u32,
    pub phase: Phase,
    pub reader: Reader,
    /// Bytes of the request that are written, and of the answer that came.
    pub sent: usize,
    pub received: u64,
    /// The peer will send no more.
    pub ended: bool,
    pub wire: Wire,
    /// At its other end, or on the way to it.
    pub proxy: Option<Rc<Proxy>>,
    tunnel: Option<Box<Tunnel>>,
    /// What came by the tunnel with the proxy's answer.
    pub early: Vec<u8>,
    /// What TLS agreed on, until that was noted.
    pub agreed: Option<Agreed>,
    /// The request as it is sent, where that is another one for a proxy.
    pub own: Vec<u8>,
}

/// What a connection is made of. `from`: the address that it comes from.
pub struct Way {
    pub to: SocketAddr,
    pub from: Option<IpAddr>,
    pub tls: Option<Box<ClientConnection>>,
    pub proxy: Option<Rc<Proxy>>,
}

/// How far a connection got.
pub enum Got {
    /// It waits for the network.
    Nothing,
    /// There may be more to read now, when others have had their turn.
    More,
    /// The answer is whole; `block` held the last of it.
    Answer,
    Failed(Failure),
    /// As `Failed`, with an answer of which the head is whole.
    TooLarge,
    /// It is there, and speaks HTTP/2: what goes on it is for others to say.
    Open,
}

impl Conn {
    /// Starts to connect; `events` will say how it went.
    pub fn open(way: Way, origin: usize, serial: u32) -> io::Result<Self> {
        Ok(Conn {
            origin,
            serial,
            phase: Phase::Connecting,
            reader: Reader::default(),
            sent: 0,
            received: 0,
            ended: false,
            wire: Wire::open(way.to, way.from, way.tls)?,
            tunnel: way.proxy.as_ref().filter(|proxy| !proxy.connect.is_empty()).map(|_| Box::new(Tunnel::new())),
            proxy: way.proxy,
            early: Vec::new(),
            agreed: None,
            own: Vec::new(),
        })
    }

    /// Once it is writable: Err where there is no connection after all.
    pub fn connected(&mut self) -> io::Result<()> {
        self.wire.connected()?;
        self.phase = if self.tunnel.is_some() { Phase::Tunnel } else { self.behind_the_way() };
        Ok(())
    }

    fn behind_the_way(&self) -> Phase {
        if self.wire.tls.is_some() { Phase::Handshake } else { Phase::Sending }
    }

    /// As far as a tunnel is made now; Ok(true): it is there, or none is wanted.
    pub fn dig(&mut self, block: &mut [u8]) -> Result<bool, Failure> {
        let (Some(tunnel), Some(proxy)) = (&mut self.tunnel, &self.proxy) else { return Ok(true) };
        while tunnel.sent < proxy.connect.len() {
            match self.wire.write_below(&proxy.connect[tunnel.sent..]) {
                Ok(count) => tunnel.sent += count,
                Err(Trouble::Later) => return Ok(false),
                Err(trouble) => return Err(proxy::trouble(proxy, &broken(trouble).text)),
            }
        }
        loop {
            let count = match self.wire.read_below(block) {
                Ok(count) => count,
                Err(Trouble::Later) => return Ok(false),
                Err(trouble) => return Err(proxy::trouble(proxy, &broken(trouble).text)),
            };
            if let Some(behind) = tunnel.feed(&block[..count], proxy)? {
                self.early.extend_from_slice(&block[count - behind..count]);
                break;
            }
        }
        self.tunnel = None;
        self.phase = self.behind_the_way();
        Ok(true)
    }

    /// Whether the peer chose HTTP/2; without TLS there is no such choice.
    pub fn chose_http2(&self) -> bool {
        self.wire.tls.as_ref().is_none_or(|tls| tls.alpn_protocol() == Some(HTTP_2))
    }

    /// Whether it asks the proxy at its other end for whole URLs.
    pub fn speaks_to_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_deref().filter(|proxy| proxy.connect.is_empty())
    }

    /// As far as the handshake goes now; Ok: it is done.
    pub fn shake_hands(&mut self) -> Result<(), Trouble> {
        self.wire.take_early(&std::mem::take(&mut self.early))?;
        self.wire.shake_hands()?;
        self.agreed = self.wire.tls.as_ref().and_then(|tls| Some((tls.protocol_version()?, tls.negotiated_cipher_suite()?.suite())));
        self.phase = Phase::Sending;
        Ok(())
    }

    /// Writes what is left of `bytes`; Ok: all of it is on its way.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.wire.write(bytes, &mut self.sent)
    }

    /// Whether a short read means that nothing more is there now: then no read is needed to find that out.
    pub fn short_read_is_all(&self) -> bool {
        self.wire.tls.is_none() && !self.ended
    }
}
