//! TLS 1.2 and 1.3 over a connection, by rustls and ring. Every failure is one line that names the layer: the handshake,
//! the certificate, its name, its time, ours.
//!
//! Roots are what the caller read from files: no list of public authorities is built in. A certificate that stands
//! itself among the roots is trusted as it is, also a self-signed one that calls itself an authority, which RFC 5280
//! leaves no room for and small installations are full of.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, InconsistentKeys};
use rustls::{DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme};

use super::certificate::{self, Certificate};
use super::provider::provider;
use super::{Connection, Deadline, pem};
use crate::output::{Safe, units};

/// Where distributions keep the certificates of public authorities.
pub const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// As they are in a file.
pub type Certificates = Vec<CertificateDer<'static>>;
pub type PrivateKey = PrivateKeyDer<'static>;

/// What the client has in hand.
pub struct Settings {
    pub trust: Trust,
    /// Certificates, ours first, and their key.
    pub identity: Option<(Certificates, PrivateKey)>,
    pub names: &'static Names,
}

/// How a command calls what messages advise.
#[derive(Debug)]
pub struct Names {
    pub ca: &'static str,
    pub cert: &'static str,
    pub key: &'static str,
    pub server_name: Option<&'static str>,
    /// What believes anyone.
    pub insecure: Option<&'static str>,
    /// What to do for a server without TLS: `leave out --tls`
    pub plain: &'static str,
}

/// Which servers are believed.
pub enum Trust {
    Anyone,
    Roots {
        certificates: Certificates,
        /// Where the roots are from, for messages.
        origin: String,
        /// Whether a certificate that stands itself among the roots is good for any name: they are the server's own.
        own: bool,
    },
}

/// What went wrong, with what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    text: String,
}

/// The layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// What answers is no TLS at all.
    NotTls,
    /// The server hung up in the handshake.
    Closed,
    Untrusted,
    Name,
    Time,
    /// The server wants a certificate from us, or another one.
    Client,
    Other,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// Whether the server may speak no TLS.
    pub fn is_no_tls(&self) -> bool {
        matches!(self.cause, Cause::NotTls | Cause::Closed)
    }

    /// The failure in an error of a read or a write.
    pub fn of(error: &io::Error) -> Option<&Failure> {
        error.get_ref()?.downcast_ref()
    }
}

fn failure(cause: Cause, text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Failure { cause, text: text.into() })
}

/// The certificates in a file.
pub fn certificates(file: &[u8]) -> Result<Certificates, &'static str> {
    let found = certificate::encoded(file);
    if found.is_empty() {
        return Err("no certificate in it (PEM: -----BEGIN CERTIFICATE-----)");
    }
    let whole: Option<Certificates> = found.into_iter().map(|der| der.map(CertificateDer::from)).collect();
    whole.ok_or("a certificate in it is damaged")
}

/// The first private key in a file's text: PKCS#8, PKCS#1 or SEC1.
pub fn private_key(file: &[u8]) -> Result<PrivateKey, &'static str> {
    const NONE: &str = "no private key in it (PEM: -----BEGIN PRIVATE KEY-----)";
    let (label, text) = pem::blocks(file).find(|(label, _)| label.ends_with(b"PRIVATE KEY")).ok_or(NONE)?;
    if label.starts_with(b"ENCRYPTED") || memchr::memmem::find(text, b"ENCRYPTED").is_some() {
        return Err("the key in it needs a passphrase; 'openssl pkey' writes one that does not");
    }
    let der = pem::decode(text).ok_or("the private key in it is damaged")?;
    match label {
        b"PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs8(der.into())),
        b"RSA PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs1(der.into())),
        b"EC PRIVATE KEY" => Ok(PrivateKeyDer::Sec1(der.into())),
        _ => Err("the private key in it is neither of RSA nor of a curve"),
    }
}

/// The settings as every connection needs them.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
    identified: bool,
    names: &'static Names,
}

impl Client {
    pub fn new(settings: Settings) -> Result<Client, String> {
        let provider = Arc::new(provider());
        let verifier = Arc::new(Verifier::new(settings.trust, provider.clone()));
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let identified = settings.identity.is_some();
        let mut config = match settings.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = provider.key_provider.load_private_key(key).map_err(
                    |_| "the key is of a kind that is not supported here (P-256, P-384, RSA of 2048 to 4096 bits)",
                )?;
                let identity = CertifiedKey::new(chain, key);
                // What cannot be read, as one of the first version, is for the server to judge.
                if let Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) = identity.keys_match() {
                    return Err(String::from("the key is not the certificate's"));
                }
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
        };
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Client { config: Arc::new(config), verifier, identified, names: settings.names })
    }

    /// The same for servers that are asked to speak a certain protocol inside of TLS (RFC 7301).
    pub fn speaking(mut self, protocol: &[u8]) -> Client {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![protocol.to_vec()];
        self
    }

    /// Shakes hands with the server `name`, before the connection's deadline.
    pub fn handshake(&self, stream: Connection, name: &[u8]) -> io::Result<Stream> {
        let text = std::str::from_utf8(name).ok().map(|name| name.split('%').next().unwrap_or(name));
        let server = text.and_then(|name| ServerName::try_from(name.to_owned()).ok()).ok_or_else(|| {
            let text = format!("TLS: {}: no name that a certificate could have{}", Safe(name), self.other_name());
            failure(Cause::Name, text)
        })?;
        let session =
            ClientConnection::new(self.config.clone(), server).map_err(|error| self.explain(&error, name, &[]))?;
        let mut tls = Stream {
            stream,
            session,
            client: self.clone(),
            name: name.to_vec(),
            start: Vec::new(),
            held: Vec::new(),
            ended: false,
        };
        match tls.shake_hands() {
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                // What it said before it left is still there, unless it was gone too soon.
                while tls.pull().or_else(|error| match error.kind() {
                    io::ErrorKind::InvalidData => Err(error),
                    _ => Ok(false),
                })? {}
                let Names { cert, key, .. } = self.names;
                let guess = match self.identified {
                    true => format!("it does not trust our certificate {cert}"),
                    false => format!("for want of {cert} and {key}"),
                };
                Err(failure(Cause::Closed, format!("TLS: the server hangs up in the handshake, perhaps {guess}")))
            }
            done => done.map(|()| tls),
        }
    }

    /// The advice for a wrong name, where the command has an option for that.
    fn other_name(&self) -> String {
        self.names.server_name.map(|option| format!("; {option} NAME asks for another")).unwrap_or_default()
    }

    /// Of a server whose signatures the provider cannot check: P-521, Ed25519.
    fn unsupported(&self) -> String {
        let advice = self.names.insecure.map(|option| format!("; {option} connects without checking"));
        let advice = advice.unwrap_or_default();
        format!("its kind of key or signature is not supported here (P-256, P-384 and RSA are){advice}")
    }

    fn explain(&self, error: &Error, name: &[u8], start: &[u8]) -> io::Error {
        let (cause, text) = match error {
            Error::InvalidMessage(_) if !start.starts_with(&[0x15, 3]) && !start.starts_with(&[0x16, 3]) => {
                let line = start.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
                let text = format!("no TLS: it answers in plain text: {}; {}", Safe(line), self.names.plain);
                (Cause::NotTls, text)
            }
            Error::InvalidCertificate(wrong) => self.refused(wrong, name),
            Error::AlertReceived(alert) => self.alert(*alert),
            Error::PeerIncompatible(why) => (Cause::Other, format!("TLS: nothing in common with the server: {why:?}")),
            other => (Cause::Other, format!("TLS: {other}")),
        };
        failure(cause, text)
    }

    /// Why we do not believe the server.
    fn refused(&self, wrong: &CertificateError, name: &[u8]) -> (Cause, String) {
        use CertificateError as E;
        let seen = self.verifier.seen.lock().ok().and_then(|seen| seen.clone()).unwrap_or_default();
        let subject = named(&seen.subject);
        match wrong {
            E::UnknownIssuer | E::BadSignature | E::Other(_) => {
                let issued = match seen.subject == seen.issuer {
                    true => String::from("self-signed"),
                    false => format!("issued by {}", named(&seen.issuer)),
                };
                // An authority's own certificate, as self-signed ones are by default, is nobody's but by being known.
                let own = format!("{wrong:?}").contains("CaUsedAsEndEntity");
                let end = match wrong {
                    E::Other(_) if !own => String::from("of a form that is too old to be checked"),
                    _ => format!("that no certificate in {} signs", self.verifier.origin),
                };
                let ca = self.names.ca;
                let text =
                    format!("TLS: the server has a certificate {end}: {subject}, {issued}; {ca} FILE names its CA");
                (Cause::Untrusted, text)
            }
            E::NotValidForName | E::NotValidForNameContext { .. } if seen.names.is_empty() => {
                let text = format!(
                    "TLS: the server's certificate is for no name at all (it has no subjectAltName): {subject}"
                );
                (Cause::Name, text)
            }
            E::NotValidForName | E::NotValidForNameContext { .. } => {
                let names: Vec<String> = seen.names.iter().map(|name| Safe(name).to_string()).collect();
                let advice = self.names.server_name.map(|option| format!("; {option} NAME asks for that"));
                let text = format!(
                    "TLS: the server's certificate is not for {} but for {}{}",
                    Safe(name),
                    names.join(", "),
                    advice.unwrap_or_default()
                );
                (Cause::Name, text)
            }
            E::Expired | E::ExpiredContext { .. } => {
                let ended = units::utc(seen.not_after);
                (Cause::Time, format!("TLS: the server's certificate ended {ended}: {subject}"))
            }
            E::NotValidYet | E::NotValidYetContext { .. } => {
                let begins = units::utc(seen.not_before);
                (Cause::Time, format!("TLS: the server's certificate begins {begins} (or a clock is wrong): {subject}"))
            }
            E::UnsupportedSignatureAlgorithmContext { .. }
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                (Cause::Untrusted, format!("TLS: the server's certificate: {subject}: {}", self.unsupported()))
            }
            other => (Cause::Untrusted, format!("TLS: the server's certificate: {subject}: {other}")),
        }
    }

    /// Why the server does not believe us, or what else it says.
    fn alert(&self, alert: AlertDescription) -> (Cause, String) {
        use AlertDescription as A;
        let Names { cert, key, .. } = self.names;
        let word = format!("{alert:?}");
        match alert {
            A::CertificateRequired => {
                (Cause::Client, format!("TLS: the server wants a client certificate: {cert}, {key}"))
            }
            // What a server says that can sign with nothing that we offer, too.
            A::HandshakeFailure if self.verifier.roots.is_some() => {
                let unsupported = self.unsupported();
                let text = match self.identified {
                    true => format!("TLS: the server refuses ({word}), perhaps as {unsupported}"),
                    false => format!(
                        "TLS: the server refuses ({word}), perhaps for want of {cert} and {key}, or as {unsupported}"
                    ),
                };
                (if self.identified { Cause::Other } else { Cause::Client }, text)
            }
            // How it says the same in TLS 1.2.
            A::HandshakeFailure | A::BadCertificate if !self.identified => {
                (Cause::Client, format!("TLS: the server refuses ({word}), perhaps for want of {cert} and {key}"))
            }
            A::UnknownCA | A::BadCertificate | A::CertificateUnknown | A::DecryptError | A::UnsupportedCertificate
                if self.identified =>
            {
                (Cause::Client, format!("TLS: the server does not trust our certificate {cert} ({word})"))
            }
            A::CertificateExpired if self.identified => {
                (Cause::Client, format!("TLS: our certificate {cert} has expired"))
            }
            A::ProtocolVersion => (Cause::Other, String::from("TLS: the server speaks neither version 1.2 nor 1.3")),
            A::UnrecognisedName => {
                (Cause::Name, format!("TLS: the server does not know this name{}", self.other_name()))
            }
            _ => (Cause::Other, format!("TLS: the server refuses: {word}")),
        }
    }
}

/// A subject or an issuer.
fn named(name: &[u8]) -> String {
    if name.is_empty() { String::from("no name") } else { Safe(name).to_string() }
}

/// A connection inside TLS.
pub struct Stream {
    stream: Connection,
    session: ClientConnection,
    client: Client,
    name: Vec<u8>,
    /// The first bytes that came, for when they are no TLS.
    start: Vec<u8>,
    /// What came and the session has not taken yet.
    held: Vec<u8>,
    ended: bool,
}

const START: usize = 64;

impl Stream {
    fn shake_hands(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            if self.push()? {
                continue;
            }
            if !self.pull()? {
                return Err(failure(Cause::Closed, "closed in the TLS handshake"));
            }
        }
        if let Err(error) = self.push() {
            while self.pull()? {}
            return Err(error);
        }
        Ok(())
    }

    /// Sends what waits; whether there was anything.
    fn push(&mut self) -> io::Result<bool> {
        let mut any = false;
        while self.session.wants_write() {
            any |= self.session.write_tls(&mut self.stream)? > 0;
        }
        Ok(any)
    }

    /// Receives some; false at the end.
    fn pull(&mut self) -> io::Result<bool> {
        if self.feed()? {
            return Ok(true);
        }
        let mut buffer = [0; 4096];
        let length = self.stream.read(&mut buffer)?;
        self.keep(buffer.get(..length).unwrap_or_default());
        self.feed()?;
        Ok(length > 0)
    }

    /// Holds what came, until the session takes it.
    fn keep(&mut self, received: &[u8]) {
        let missing = START.saturating_sub(self.start.len()).min(received.len());
        self.start.extend_from_slice(received.get(..missing).unwrap_or_default());
        self.held.extend_from_slice(received);
    }

    /// Gives the session as much as it takes at once; whether there was anything. What it makes of it has to be read before
    /// it takes more.
    fn feed(&mut self) -> io::Result<bool> {
        if self.held.is_empty() {
            return Ok(false);
        }
        let mut rest = self.held.as_slice();
        self.session.read_tls(&mut rest)?;
        let used = self.held.len() - rest.len();
        self.held.drain(..used);
        if let Err(error) = self.session.process_new_packets() {
            // So that the server can write down why.
            let _ = self.push();
            return Err(self.client.explain(&error, &self.name, &self.start));
        }
        Ok(true)
    }

    /// Reads what is there; `WouldBlock` where nothing is. For callers with a poll loop of their own.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.ended => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::WouldBlock) => {
                    return Ok(0);
                }
                read => return read,
            }
            if self.feed()? {
                continue;
            }
            let mut received = [0; 4096];
            let length = self.stream.try_read(&mut received)?;
            self.ended = length == 0;
            self.keep(received.get(..length).unwrap_or_default());
        }
    }

    /// Writes what fits; `WouldBlock` where nothing does. Some of what it took may still wait for [`Stream::try_flush`].
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.session.writer().write(bytes)?;
        match self.try_flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock || length == 0 => Err(error),
            _ => Ok(length),
        }
    }

    /// Sends what waits; `WouldBlock` as long as something does.
    pub fn try_flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut Now(&self.stream))?;
        }
        Ok(())
    }

    /// `TLSv1.3`
    pub fn version(&self) -> &'static str {
        match self.session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLS",
        }
    }

    /// What the server showed.
    pub fn certificate(&self) -> Option<Certificate> {
        Certificate::parse(self.session.peer_certificates()?.first()?)
    }

    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.stream.set_deadline(deadline);
    }
}

/// A connection that is written to without waiting.
struct Now<'a>(&'a Connection);

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.ended => {
                    self.push()?;
                    self.ended = !self.pull()?;
                }
                // Few servers say good-bye.
                Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::WouldBlock) => {
                    return Ok(0);
                }
                read => return read,
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.session.writer().write(bytes)?;
        self.push()?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push().map(|_| ())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Believes what [`Trust`] says, and remembers what it saw.
#[derive(Debug)]
struct Verifier {
    /// None: whoever it is.
    roots: Option<RootCertStore>,
    certificates: Certificates,
    origin: String,
    own: bool,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Certificate>>,
}

impl Verifier {
    fn new(trust: Trust, provider: Arc<CryptoProvider>) -> Verifier {
        let seen = Mutex::new(None);
        match trust {
            Trust::Anyone => {
                Verifier { roots: None, certificates: Vec::new(), origin: String::new(), own: false, provider, seen }
            }
            Trust::Roots { certificates, origin, own } => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates.iter().cloned());
                Verifier { roots: Some(roots), certificates, origin, own, provider, seen }
            }
        }
    }
}

/// What servers may sign with and the provider cannot check.
const UNCHECKED: [SignatureScheme; 3] =
    [SignatureScheme::ECDSA_NISTP521_SHA512, SignatureScheme::ED25519, SignatureScheme::ED448];

/// Where anyone is believed, the signature of the handshake is not checked either: it would only show that whoever answers
/// has the key of a certificate that anyone can make. So keys that the provider does not know are no obstacle, nor are
/// certificates that cannot be read (those of the first version).
impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let said = Certificate::parse(end_entity);
        if let Ok(mut seen) = self.seen.lock() {
            seen.clone_from(&said);
        }
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        if self.certificates.iter().any(|known| known == end_entity) {
            let said = said.ok_or(CertificateError::BadEncoding)?;
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            if now > said.not_after {
                return Err(CertificateError::Expired.into());
            }
            if now < said.not_before {
                return Err(CertificateError::NotValidYet.into());
            }
            if self.own {
                return Ok(ServerCertVerified::assertion());
            }
        } else {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)?;
        }
        verify_server_name(&parsed, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.roots.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.roots.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        if self.roots.is_none() {
            schemes.extend(UNCHECKED);
        }
        schemes
    }
}

#[cfg(test)]
mod tests {
    use rustls::InvalidMessage;

    use super::*;

    static NAMES: Names = Names {
        ca: "--cacert",
        cert: "--cert",
        key: "--key",
        server_name: Some("--name"),
        insecure: Some("--insecure"),
        plain: "use http://",
    };

    #[test]
    fn files_that_hold_something_else() {
        assert!(certificates(b"").unwrap_err().starts_with("no certificate in it"));
        let damaged = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(damaged).unwrap_err(), "a certificate in it is damaged");
        assert!(private_key(b"").unwrap_err().starts_with("no private key in it"));
        let passphrases = [
            &b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"[..],
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        ];
        for text in passphrases {
            assert!(private_key(text).unwrap_err().contains("passphrase"));
        }
        let damaged = b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n";
        assert_eq!(private_key(damaged).unwrap_err(), "the private key in it is damaged");
        let other = b"-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n";
        assert_eq!(private_key(other).unwrap_err(), "the private key in it is neither of RSA nor of a curve");
    }

    fn client() -> Client {
        let trust = Trust::Roots { certificates: Vec::new(), origin: String::from("FILE"), own: false };
        Client::new(Settings { trust, identity: None, names: &NAMES }).unwrap()
    }

    #[test]
    fn alerts() {
        let said = |alert| client().alert(alert);
        let wanted = String::from("TLS: the server wants a client certificate: --cert, --key");
        assert_eq!(said(AlertDescription::CertificateRequired), (Cause::Client, wanted));
        let refused = String::from(
            "TLS: the server refuses (HandshakeFailure), perhaps for want of --cert and --key, or as its kind of key or \
             signature is not supported here (P-256, P-384 and RSA are); --insecure connects without checking",
        );
        assert_eq!(said(AlertDescription::HandshakeFailure), (Cause::Client, refused));
        assert_eq!(said(AlertDescription::ProtocolVersion).0, Cause::Other);
        let unknown = String::from("TLS: the server does not know this name; --name NAME asks for another");
        assert_eq!(said(AlertDescription::UnrecognisedName), (Cause::Name, unknown));
    }

    #[test]
    fn what_is_wrong_with_a_certificate() {
        let client = client();
        let plain = client.explain(&Error::InvalidMessage(InvalidMessage::InvalidContentType), b"h", b"ERROR\r\n");
        assert_eq!(Failure::of(&plain).unwrap().cause, Cause::NotTls);
        assert_eq!(plain.to_string(), "no TLS: it answers in plain text: ERROR; use http://");
        let said = |wrong: CertificateError, names: &[&str]| {
            *client.verifier.seen.lock().unwrap() = Some(Certificate {
                subject: b"CN=\x1b".to_vec(),
                issuer: b"CN=ca".to_vec(),
                names: names.iter().map(|name| name.as_bytes().to_vec()).collect(),
                names_count: names.len(),
                not_before: 0,
                not_after: 86_400,
            });
            client.explain(&Error::InvalidCertificate(wrong), b"h", b"").to_string()
        };
        let lines = [
            (
                said(CertificateError::UnknownIssuer, &[]),
                "a certificate that no certificate in FILE signs: CN=\\x1b, issued by CN=ca; --cacert FILE names its CA",
            ),
            (
                said(CertificateError::NotValidForName, &["a", "b"]),
                "certificate is not for h but for a, b; --name NAME asks for that",
            ),
            (
                said(CertificateError::NotValidForName, &[]),
                "certificate is for no name at all (it has no subjectAltName): CN=\\x1b",
            ),
            (
                said(
                    CertificateError::UnsupportedSignatureAlgorithmContext {
                        signature_algorithm_id: Vec::new(),
                        supported_algorithms: Vec::new(),
                    },
                    &[],
                ),
                "certificate: CN=\\x1b: its kind of key or signature is not supported here (P-256, P-384 and RSA are); \
                 --insecure connects without checking",
            ),
            (said(CertificateError::Expired, &[]), "certificate ended 1970-01-02 00:00:00 UTC: CN=\\x1b"),
            (
                said(CertificateError::NotValidYet, &[]),
                "certificate begins 1970-01-01 00:00:00 UTC (or a clock is wrong): CN=\\x1b",
            ),
        ];
        for (line, end) in lines {
            assert!(line.starts_with("TLS: the server") && line.ends_with(end), "{line}");
        }
    }
}
