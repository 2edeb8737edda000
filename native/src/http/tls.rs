//! Whom TLS trusts and what it shows: rustls, set up from PEM texts.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::http::http3::ciphers::telling;
use crate::plan::{Tls, TlsTerms};

/// Of one user, a few for each host that he asks.
const MOST_SESSIONS: usize = 64;

pub const HTTP_2: &[u8] = b"h2";
pub const HTTP_3: &[u8] = b"h3";

/// `offers`: that alone, if anything (ALPN, RFC 7301).
pub fn config_of(plan: &Tls, terms: &TlsTerms, offers: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    let mut provider = ring::default_provider();
    if !terms.ciphers.is_empty() {
        // those of TLS 1.3 are chosen by nobody
        let is_named = |name: &str| terms.ciphers.iter().any(|own| own == name);
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || suite.suite().as_str().is_some_and(is_named));
    }
    if offers == Some(HTTP_3) {
        provider.cipher_suites = provider.cipher_suites.into_iter().map(telling).collect();
    }
    let provider = Arc::new(provider);
    let is_offered = |version: &str| terms.versions.is_empty() || terms.versions.iter().any(|own| own == version);
    let versions: Vec<&SupportedProtocolVersion> =
        [("1.3", &TLS13), ("1.2", &TLS12)].into_iter().filter(|(name, _)| is_offered(name)).map(|(_, version)| version).collect();
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions).map_err(|error| error.to_string())?;
    let signing = provider.clone();
    let builder = if plan.verify {
        let mut roots = RootCertStore::empty();
        let mut named = Vec::new();
        for path in &plan.authorities {
            for text in texts(Path::new(path))? {
                named.extend(CertificateDer::pem_slice_iter(&text).flatten());
            }
        }
        // a bundle may hold certificates that this library can't use; the others count
        roots.add_parsable_certificates(named.iter().cloned());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|error| error.to_string())?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Named { usual, named }))
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone))
    };
    let mut config = match &plan.certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key = plan.key.as_ref().map_or_else(|| read(Path::new(key)), |text| Ok(text.clone().into_bytes()))?;
            let chain = read(Path::new(chain))?;
            let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown(chain, &key, &signing)?)))
        }
    };
    // every connection of a user costs the target a whole handshake, unless the terms say otherwise: see `for_one_user`
    config.resumption = Resumption::disabled();
    config.alpn_protocols.extend(offers.map(<[u8]>::to_vec));
    Ok(Arc::new(config))
}

/// The same, with sessions of one user: others could not go on with them.
pub fn for_one_user(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut own = config.clone();
    own.resumption = Resumption::in_memory_sessions(MOST_SESSIONS);
    Arc::new(own)
}

/// A client's certificate with its key. The two are not compared here, which was done before the load: for that the certificate
/// would have to be of X.509 version 3.
fn shown(chain: Vec<CertificateDer<'static>>, key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    let signer = provider.key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(chain, signer))
}

/// Why this library can't use a key that OpenSSL can (of RSA with 1,024 bits, of P-521); None: it can.
pub fn key_trouble(pem: &[u8]) -> Option<String> {
    shown(Vec::new(), pem, &ring::default_provider()).err()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The file, or every file of the folder.
fn texts(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(entries.flatten().filter_map(|entry| read(&entry.path()).ok()).collect())
}

pub fn connection(config: &Arc<ClientConfig>, host: &str) -> Result<Box<ClientConnection>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    ClientConnection::new(config.clone(), name).map(Box::new).map_err(|error| error.to_string())
}

/// As webpki, but a server may show the very certificate that was named as trusted, also where that is its own authority: what
/// `openssl req -x509` makes, and every other client takes.
#[derive(Debug)]
struct Named {
    usual: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

/// Whether a certificate was refused as one of an authority itself, before anybody asked who trusts it. rustls has no name for that.
fn is_of_authority(why: &OtherError) -> bool {
    format!("{why:?}").contains("CaUsedAsEndEntity")
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.usual.verify_server_cert(end, between, name, ocsp, now) {
            // what it says of authorities comes after it has looked at the dates
            Err(Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::UnknownIssuer)) if self.named.contains(end) => {
                verify_server_name(&ParsedCertificate::try_from(end)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            Err(Error::InvalidCertificate(CertificateError::Other(why))) if is_of_authority(&why) => {
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
            }
            found => found,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// `"verify": false`: any peer will do, so it need not prove that the key is its own either. This library could not check the
/// signatures of every key that OpenSSL's users take (RSA with 1,024 bits, P-521).
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            // of keys that are for PSS alone, which this library has no names for (RFC 8446 section 4.2.3: rsa_pss_pss_sha256 and up)
            SignatureScheme::Unknown(0x0809),
            SignatureScheme::Unknown(0x080a),
            SignatureScheme::Unknown(0x080b),
        ]
    }
}
