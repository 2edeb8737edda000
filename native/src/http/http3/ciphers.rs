//! Which cipher a handshake of QUIC agreed on. quinn-proto does not say it; what makes the keys of each cipher does.

use std::cell::Cell;
use std::sync::LazyLock;

use rustls::crypto::CipherSuiteCommon;
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::crypto::ring::ALL_CIPHER_SUITES;
use rustls::quic::{Algorithm, HeaderProtectionKey, PacketKey};
use rustls::{CipherSuite, SupportedCipherSuite, Tls13CipherSuite};

thread_local! {
    static TOLD: Cell<Option<CipherSuite>> = const { Cell::new(None) };
}

/// The usual ones of TLS 1.3, each of which tells that it was chosen; made once, for rustls keeps them for good.
static TELLING: LazyLock<Vec<SupportedCipherSuite>> = LazyLock::new(|| {
    let usual = ALL_CIPHER_SUITES.iter().filter_map(|suite| suite.tls13());
    usual.filter_map(|suite| Some(SupportedCipherSuite::Tls13(Box::leak(Box::new(telling_of(suite)?))))).collect()
});

struct Telling {
    suite: CipherSuite,
    usual: &'static dyn Algorithm,
}

impl Algorithm for Telling {
    fn packet_key(&self, key: AeadKey, iv: Iv) -> Box<dyn PacketKey> {
        TOLD.set(Some(self.suite));
        self.usual.packet_key(key, iv)
    }

    fn header_protection_key(&self, key: AeadKey) -> Box<dyn HeaderProtectionKey> {
        self.usual.header_protection_key(key)
    }

    fn aead_key_len(&self) -> usize {
        self.usual.aead_key_len()
    }

    fn fips(&self) -> bool {
        self.usual.fips()
    }
}

/// None: QUIC has no use for it.
fn telling_of(usual: &'static Tls13CipherSuite) -> Option<Tls13CipherSuite> {
    let CipherSuiteCommon { suite, hash_provider, confidentiality_limit } = usual.common;
    let telling: &'static Telling = Box::leak(Box::new(Telling { suite, usual: usual.quic? }));
    Some(Tls13CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider, confidentiality_limit },
        hkdf_provider: usual.hkdf_provider,
        aead_alg: usual.aead_alg,
        quic: Some(telling),
    })
}

/// The same cipher, which tells that it was chosen where QUIC can have it.
pub fn telling(usual: SupportedCipherSuite) -> SupportedCipherSuite {
    TELLING.iter().copied().find(|own| own.suite() == usual.suite()).unwrap_or(usual)
}

/// What keys were made for last in some work, if any were: those of the first packets are always of the same cipher (RFC 9001
/// section 5.2), those of the handshake and behind it of the one that was agreed on.
pub fn told_in(work: impl FnOnce()) -> Option<CipherSuite> {
    TOLD.set(None);
    work();
    TOLD.take()
}
