//! The cryptography that rustls is given: what ring has, without what servers offer only beside other things. That keeps
//! 0.2 MB out of the binary.
//!
//! Left out are ChaCha20-Poly1305, key exchange over X25519, and certificates with Ed25519 keys. Every server that
//! speaks TLS 1.2 has AES-GCM and P-256 (RFC 8446, section 9.1 demands both), and asks for less only if told to.

use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use rustls::SignatureScheme::{self, *};
use rustls::crypto::ring::sign::{RsaSigningKey, any_ecdsa_type};
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{self, CryptoProvider, GetRandomFailed, KeyProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{PrivateKeyDer, SignatureVerificationAlgorithm};
use rustls::sign::SigningKey;
use webpki::ring as signature;

pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: vec![kx_group::SECP256R1, kx_group::SECP384R1],
        signature_verification_algorithms: WebPkiSupportedAlgorithms { all: SIGNATURES, mapping: SCHEMES },
        secure_random: &Ring,
        key_provider: &Ring,
    }
}

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

static SIGNATURES: &[Algorithm] = &[
    signature::ECDSA_P256_SHA256,
    signature::ECDSA_P256_SHA384,
    signature::ECDSA_P384_SHA256,
    signature::ECDSA_P384_SHA384,
    signature::RSA_PKCS1_2048_8192_SHA256,
    signature::RSA_PKCS1_2048_8192_SHA384,
    signature::RSA_PKCS1_2048_8192_SHA512,
    signature::RSA_PKCS1_3072_8192_SHA384,
    signature::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    signature::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    signature::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// What a server may sign its handshake with. In TLS 1.2 the scheme does not say the curve.
static SCHEMES: &[(SignatureScheme, &[Algorithm])] = &[
    (ECDSA_NISTP384_SHA384, &[signature::ECDSA_P384_SHA384, signature::ECDSA_P256_SHA384]),
    (ECDSA_NISTP256_SHA256, &[signature::ECDSA_P256_SHA256, signature::ECDSA_P384_SHA256]),
    (RSA_PSS_SHA512, &[signature::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
    (RSA_PSS_SHA384, &[signature::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
    (RSA_PSS_SHA256, &[signature::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
    (RSA_PKCS1_SHA512, &[signature::RSA_PKCS1_2048_8192_SHA512]),
    (RSA_PKCS1_SHA384, &[signature::RSA_PKCS1_2048_8192_SHA384]),
    (RSA_PKCS1_SHA256, &[signature::RSA_PKCS1_2048_8192_SHA256]),
];

#[derive(Debug)]
struct Ring;

impl crypto::SecureRandom for Ring {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemRandom::new().fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Ring {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        match RsaSigningKey::new(&key) {
            Ok(rsa) => Ok(Arc::new(rsa)),
            Err(_) => any_ecdsa_type(&key),
        }
    }
}
