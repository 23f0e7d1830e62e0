//! Public keys from SubjectPublicKeyInfo and certificates, and the cache that keeps them ready.

use std::collections::HashMap;
use std::env;
use std::mem;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::algorithm::{Curve, Level, Verdict};
use crate::aws_lc::{EcdsaKey, MlDsaKey};
use crate::der::{BIT_STRING, Der, INTEGER, SEQUENCE};
use crate::ed25519;
use crate::gost;
use crate::rsa;

/// The setting: how many MiB keys and their tables may take, 256 if unset.
pub const SETTING: &str = "QAGAZSYZ_KERNEL_TABLES_MIB";
const DEFAULT_MIB: usize = 256;

/// Returns how many bytes keys and their tables may take. Panics for a setting that is no number.
pub fn tables_bytes() -> usize {
    static BYTES: LazyLock<usize> = LazyLock::new(|| {
        let mib =
            env::var(SETTING).ok().filter(|value| !value.is_empty()).map(|value| value.parse());
        mib.unwrap_or(Ok(DEFAULT_MIB)).unwrap_or_else(|_| panic!("{SETTING} is a number")) << 20
    });
    *BYTES
}

/// Returns what each of the cache's two generations may hold; a quarter is left for combs. By
/// default these are 96 MiB: about 180,000 Ed25519 keys, 10,000 P-256 keys with their tables, or
/// 15,000 RSA keys.
fn generation_bytes() -> usize {
    tables_bytes() / 8 * 3
}

// Contents of object identifiers.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ML_DSA_44: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11];
const ML_DSA_65: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12];
const ML_DSA_87: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13];

/// The encoding of the parameters of an RSA key.
const NULL: &[u8] = &[0x05, 0x00];

/// A public key, parsed and checked.
pub enum Key {
    Ed25519(Box<ed25519::Key>),
    Ecdsa(EcdsaKey),
    Rsa(Box<rsa::Key>),
    MlDsa(MlDsaKey),
    Gost(Box<gost::Key>),
}

/// A key, or the verdict on every item of a signer without a usable one.
pub type Resolved = Result<Arc<Key>, Verdict>;

impl Key {
    /// Parses a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1): see signatures/README.md.
    fn parse(spki: &[u8]) -> Result<Self, Verdict> {
        let (algorithm, parameters, key) = split(spki).ok_or(Verdict::MalformedKey)?;
        let plain = parameters.is_empty();
        let key = match algorithm {
            ED25519 if plain => ed25519::Key::new(key).map(|key| Self::Ed25519(Box::new(key))),
            EC => {
                let mut parameters = Der(parameters);
                let curve = parameters.object_identifier().filter(|_| parameters.is_empty());
                let curve = match curve.ok_or(Verdict::MalformedKey)? {
                    P256 => Curve::P256,
                    P384 => Curve::P384,
                    P521 => Curve::P521,
                    _ => return Err(Verdict::UnsupportedAlgorithm),
                };
                EcdsaKey::new(curve, key).map(Self::Ecdsa)
            }
            RSA if parameters == NULL => rsa::Key::new(key).map(|key| Self::Rsa(Box::new(key))),
            ML_DSA_44 if plain => MlDsaKey::new(Level::MlDsa44, key).map(Self::MlDsa),
            ML_DSA_65 if plain => MlDsaKey::new(Level::MlDsa65, key).map(Self::MlDsa),
            ML_DSA_87 if plain => MlDsaKey::new(Level::MlDsa87, key).map(Self::MlDsa),
            ED25519 | RSA | ML_DSA_44 | ML_DSA_65 | ML_DSA_87 => None,
            _ => match gost::Key::parse(algorithm, parameters, key) {
                Some(key) => return key.map(|key| Self::Gost(Box::new(key))),
                None => return Err(Verdict::UnsupportedAlgorithm),
            },
        };
        key.ok_or(Verdict::MalformedKey)
    }

    /// Returns about how many bytes the key takes in memory, with the tables that it may get and
    /// what AWS-LC allocates.
    fn weight(&self) -> usize {
        match self {
            Self::Ed25519(_) => 512,
            Self::Ecdsa(key) => key.weight(),
            Self::Rsa(key) => 1024 + 20 * key.size(),
            Self::MlDsa(_) => 4096,
            Self::Gost(key) => key.weight(),
        }
    }
}

/// Splits a SubjectPublicKeyInfo into algorithm identifier, encoded parameters and key.
fn split(spki: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut info = Der(Der::only(spki, SEQUENCE)?);
    let mut algorithm = Der(info.take(SEQUENCE)?);
    let identifier = algorithm.object_identifier()?;
    let [0, key @ ..] = info.take(BIT_STRING)? else { return None };
    info.is_empty().then_some((identifier, algorithm.0, key))
}

/// Returns the SubjectPublicKeyInfo of an X.509 certificate in DER. Checks the certificate's
/// structure, and nothing that it says.
pub fn certificate_spki(der: &[u8]) -> Option<&[u8]> {
    const VERSION: u8 = 0xa0;
    const ISSUER_ID: u8 = 0x81;
    const SUBJECT_ID: u8 = 0x82;
    const EXTENSIONS: u8 = 0xa3;
    let mut certificate = Der(Der::only(der, SEQUENCE)?);
    let mut to_be_signed = Der(certificate.take(SEQUENCE)?);
    if to_be_signed.next_tag() == VERSION {
        to_be_signed.take(VERSION)?;
    }
    to_be_signed.take(INTEGER)?;
    for _algorithm_issuer_validity_subject in 0..4 {
        to_be_signed.take(SEQUENCE)?;
    }
    let before = to_be_signed.0;
    to_be_signed.take(SEQUENCE)?;
    let spki = &before[..before.len() - to_be_signed.0.len()];
    for tag in [ISSUER_ID, SUBJECT_ID, EXTENSIONS] {
        if to_be_signed.next_tag() == tag {
            to_be_signed.take(tag)?;
        }
    }
    certificate.take(SEQUENCE)?;
    let [0, ..] = certificate.take(BIT_STRING)? else { return None };
    (certificate.is_empty() && to_be_signed.is_empty()).then_some(spki)
}

/// Keys by their SubjectPublicKeyInfo, in two generations. A key that is used moves to the young
/// one. When that is full it becomes the old one, and the previous old one is dropped with all keys
/// that were not used meanwhile.
#[derive(Default)]
struct Cache {
    young: HashMap<Box<[u8]>, Arc<Key>>,
    young_bytes: usize,
    old: HashMap<Box<[u8]>, Arc<Key>>,
}

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

impl Cache {
    fn get(&mut self, spki: &[u8]) -> Option<Arc<Key>> {
        if let Some(key) = self.young.get(spki) {
            return Some(key.clone());
        }
        let (spki, key) = self.old.remove_entry(spki)?;
        Some(self.put(spki, key))
    }

    /// Stores a key. Returns the one in the cache: another thread may have stored an equal one.
    fn put(&mut self, spki: Box<[u8]>, key: Arc<Key>) -> Arc<Key> {
        let bytes = spki.len() + key.weight();
        if self.young_bytes + bytes > generation_bytes() {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.entry(spki).or_insert(key).clone()
    }
}

/// Returns the key of a SubjectPublicKeyInfo, from the cache if it was used lately.
pub fn resolve(spki: &[u8]) -> Resolved {
    let lock = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = lock().get(spki) {
        return Ok(key);
    }
    let key = Arc::new(Key::parse(spki)?);
    Ok(lock().put(spki.into(), key))
}

/// Returns whether `resolve_all` parses such keys together.
pub fn is_ed25519(spki: &[u8]) -> bool {
    matches!(split(spki), Some((ED25519, [], _)))
}

/// Returns the key of each SubjectPublicKeyInfo. Ed25519 keys that are new are parsed together.
pub fn resolve_all(spkis: &[&[u8]]) -> Vec<Resolved> {
    let lock = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut resolved: Vec<Option<Resolved>> = {
        let mut cache = lock();
        spkis.iter().map(|spki| cache.get(spki).map(Ok)).collect()
    };
    let (mut places, mut encoded) = (Vec::new(), Vec::new());
    for (place, spki) in spkis.iter().enumerate() {
        if resolved[place].is_none()
            && let Some((ED25519, [], key)) = split(spki)
        {
            places.push(place);
            encoded.push(key);
        }
    }
    let keys = ed25519::Key::new_all(&encoded);
    let mut cache = lock();
    for (place, key) in places.into_iter().zip(keys) {
        let key = key.map(|key| Arc::new(Key::Ed25519(Box::new(key)))).ok_or(Verdict::MalformedKey);
        resolved[place] = Some(key.map(|key| cache.put(spkis[place].into(), key)));
    }
    drop(cache);
    let rest = resolved.into_iter().zip(spkis);
    rest.map(|(resolved, spki)| resolved.unwrap_or_else(|| resolve(spki))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bytes;

    const SMALL: usize = 100;

    fn key() -> Arc<Key> {
        // RFC 8032, section 7.1, test 1.
        let encoded = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        Arc::new(Key::Ed25519(Box::new(ed25519::Key::new(&encoded).unwrap())))
    }

    /// Stores a key under that many equal bytes.
    fn put(cache: &mut Cache, name: u8, length: usize) {
        cache.put(vec![name; length].into(), key());
    }

    fn has(cache: &mut Cache, name: u8) -> bool {
        cache.get(&[name; SMALL]).is_some()
    }

    #[test]
    fn a_key_used_within_a_generation_stays_and_another_goes() {
        // A generation holds this and one small key, but not two.
        let large = generation_bytes() - SMALL - 2 * key().weight();
        let mut cache = Cache::default();
        put(&mut cache, 1, SMALL);
        put(&mut cache, 2, SMALL);
        put(&mut cache, 3, large);
        assert!(has(&mut cache, 1));
        put(&mut cache, 4, large);
        assert!(has(&mut cache, 1) && !has(&mut cache, 2));
    }

    #[test]
    fn a_key_stored_twice_is_kept_once() {
        let mut cache = Cache::default();
        put(&mut cache, 1, SMALL);
        let first = cache.get(&[1; SMALL]).unwrap();
        put(&mut cache, 1, SMALL);
        assert!(Arc::ptr_eq(&first, &cache.get(&[1; SMALL]).unwrap()));
    }
}
