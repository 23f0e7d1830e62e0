//! ECDSA, RSA and ML-DSA by AWS-LC, which reports malformed and wrong signatures alike: so each
//! signature's form is checked first, on its bytes.

use std::sync::OnceLock;

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};

use crate::algorithm::{Curve, Encoding, Hash, Level, Padding, Verdict};
use crate::der::{Der, INTEGER, SEQUENCE};
use crate::nist;

/// The order of each curve's group, big-endian: SEC 2, section 2.
const P256_ORDER: &[u8] =
    b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\
    \xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
const P384_ORDER: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
    \xff\xff\xff\xff\xff\xff\xc7\x63\x4d\x81\xf4\x37\x2d\xdf\x58\x1a\x0d\xb2\x48\xb0\xa7\x7a\xec\xec\
    \x19\x6a\xcc\xc5\x29\x73";
const P521_ORDER: &[u8] = b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
    \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfa\x51\x86\x87\x83\xbf\x2f\x96\x6b\
    \x7f\xcc\x01\x48\xf7\x09\xa5\xd0\x3b\xb5\xc9\xb8\x89\x9c\x47\xae\xbb\x6f\xb7\x1e\x91\x38\x64\x09";

/// The signed data: a message, or its digest.
#[derive(Clone, Copy)]
pub enum Signed<'a> {
    Message(&'a [u8]),
    Digest(&'a [u8]),
}

impl Signed<'_> {
    fn digest(self, hash: Hash) -> Option<Digest> {
        let hash = match hash {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
            Hash::Streebog256 | Hash::Streebog512 => return None,
        };
        match self {
            Signed::Message(message) => Some(digest::digest(hash, message)),
            Signed::Digest(given) => Digest::import_less_safe(given, hash).ok(),
        }
    }
}

fn verdict(holds: bool) -> Verdict {
    if holds { Verdict::Valid } else { Verdict::InvalidSignature }
}

/// A public key on a NIST curve.
pub struct EcdsaKey {
    pub curve: Curve,
    key: ParsedPublicKey,
    /// Our own arithmetic, for a key that comes again; None for a compressed point.
    repeated: Option<Box<nist::Key>>,
}

impl EcdsaKey {
    /// Parses a point in SEC 1's encoding, compressed or not. None if it is no point of the curve.
    pub fn new(curve: Curve, point: &[u8]) -> Option<Self> {
        let algorithm: &dyn VerificationAlgorithm = match curve {
            Curve::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Curve::P384 => &signature::ECDSA_P384_SHA384_ASN1,
            Curve::P521 => &signature::ECDSA_P521_SHA512_ASN1,
        };
        let size = curve.order().len();
        match point {
            [2 | 3, x @ ..] if x.len() == size => {}
            [4, xy @ ..] if xy.len() == 2 * size => {}
            _ => return None,
        }
        let key = ParsedPublicKey::new(algorithm, point).ok()?;
        let repeated = match point {
            [4, coordinates @ ..] => nist::Key::new(curve, coordinates).map(Box::new),
            _ => None,
        };
        Some(Self { curve, key, repeated })
    }

    /// Returns about how many bytes the key takes in memory, with the tables that it may get.
    pub fn weight(&self) -> usize {
        1024 + self.repeated.as_ref().map_or(0, |key| key.tables_bytes())
    }

    pub fn verify(&self, encoding: Encoding, signed: Signed, signature: &[u8]) -> Verdict {
        let Some((r, s)) = self.curve.split(encoding, signature) else {
            return Verdict::MalformedSignature;
        };
        let Some(digest) = signed.digest(self.curve.hash()) else {
            return Verdict::MalformedDigest;
        };
        let repeated = self.repeated.as_ref();
        if let Some(holds) = repeated.and_then(|key| key.holds(digest.as_ref(), r, s)) {
            return verdict(holds);
        }
        let holds = match encoding {
            Encoding::Der => self.key.verify_digest_sig(&digest, signature),
            Encoding::P1363 => self.key.verify_digest_sig(&digest, &encode_pair(r, s)),
        };
        verdict(holds.is_ok())
    }
}

impl Curve {
    fn order(self) -> &'static [u8] {
        match self {
            Self::P256 => P256_ORDER,
            Self::P384 => P384_ORDER,
            Self::P521 => P521_ORDER,
        }
    }

    /// Splits a signature into r and s without leading zeros. None unless both are from 1 to n − 1.
    fn split(self, encoding: Encoding, signature: &[u8]) -> Option<(&[u8], &[u8])> {
        let size = self.order().len();
        let (r, s) = match encoding {
            Encoding::Der => {
                let mut pair = Der(Der::only(signature, SEQUENCE)?);
                let (r, s) = (pair.positive()?, pair.positive()?);
                pair.is_empty().then_some((r, s))?
            }
            Encoding::P1363 => {
                let (r, s) = signature.split_at_checked(size)?;
                (s.len() == size).then_some((trim(r), trim(s)))?
            }
        };
        let in_range = |x: &[u8]| !x.is_empty() && is_less(x, trim(self.order()));
        (in_range(r) && in_range(s)).then_some((r, s))
    }
}

fn trim(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|&&digit| digit == 0).count()..]
}

/// Returns whether a is less than b, both big-endian and without leading zeros.
fn is_less(a: &[u8], b: &[u8]) -> bool {
    (a.len(), a) < (b.len(), b)
}

/// Encodes a pair of positive integers, given without leading zeros, in DER.
fn encode_pair(r: &[u8], s: &[u8]) -> Vec<u8> {
    let mut pair = Vec::with_capacity(2 * 68 + 3);
    let pads = [r, s].map(|x| usize::from(x[0] >= 0x80));
    let length = r.len() + s.len() + pads[0] + pads[1] + 4;
    pair.push(SEQUENCE);
    if length >= 0x80 {
        pair.push(0x81);
    }
    pair.push(length as u8);
    for (x, pad) in [r, s].into_iter().zip(pads) {
        pair.extend([INTEGER, (x.len() + pad) as u8]);
        pair.extend(&[0][..pad]);
        pair.extend(x);
    }
    pair
}

/// An RSA public key. AWS-LC binds a parsed key to one algorithm, so the key is parsed again when
/// an algorithm is first used.
pub struct RsaKey {
    encoded: Box<[u8]>,
    modulus: Box<[u8]>,
    keys: [OnceLock<Option<ParsedPublicKey>>; 6],
}

impl RsaKey {
    /// Parses an RSAPublicKey in DER (RFC 8017, appendix A.1.1). None if it is malformed, or its
    /// modulus or exponent is out of bounds.
    pub fn new(encoded: &[u8]) -> Option<Self> {
        let mut pair = Der(Der::only(encoded, SEQUENCE)?);
        let (modulus, exponent) = (pair.positive()?, pair.positive()?);
        let bits = 8 * modulus.len() - modulus[0].leading_zeros() as usize;
        // Odd, at least 3 and below 2³³.
        let mut wide = [0; 8];
        wide.get_mut(8usize.checked_sub(exponent.len())?..)?.copy_from_slice(exponent);
        let exponent = u64::from_be_bytes(wide);
        let is_sound = pair.is_empty()
            && (2048..=8192).contains(&bits)
            && modulus[modulus.len() - 1] & 1 == 1
            && exponent & 1 == 1
            && (3..1 << 33).contains(&exponent);
        is_sound.then(|| Self {
            encoded: encoded.into(),
            modulus: modulus.into(),
            keys: Default::default(),
        })
    }

    pub fn size(&self) -> usize {
        self.modulus.len()
    }

    pub fn verify(
        &self,
        padding: Padding,
        hash: Hash,
        signed: Signed,
        signature: &[u8],
    ) -> Verdict {
        if signature.len() != self.modulus.len() || *signature >= *self.modulus {
            return Verdict::MalformedSignature;
        }
        let (Some(digest), Some(key)) = (signed.digest(hash), self.key(padding, hash)) else {
            return Verdict::InvalidSignature;
        };
        verdict(key.verify_digest_sig(&digest, signature).is_ok())
    }

    fn key(&self, padding: Padding, hash: Hash) -> Option<&ParsedPublicKey> {
        let (place, algorithm) = match (padding, hash) {
            (Padding::Pkcs1, Hash::Sha256) => (0, &signature::RSA_PKCS1_2048_8192_SHA256),
            (Padding::Pkcs1, Hash::Sha384) => (1, &signature::RSA_PKCS1_2048_8192_SHA384),
            (Padding::Pkcs1, Hash::Sha512) => (2, &signature::RSA_PKCS1_2048_8192_SHA512),
            (Padding::Pss, Hash::Sha256) => (3, &signature::RSA_PSS_2048_8192_SHA256),
            (Padding::Pss, Hash::Sha384) => (4, &signature::RSA_PSS_2048_8192_SHA384),
            (Padding::Pss, Hash::Sha512) => (5, &signature::RSA_PSS_2048_8192_SHA512),
            (_, Hash::Streebog256 | Hash::Streebog512) => return None,
        };
        let parse = || ParsedPublicKey::new(algorithm, &self.encoded).ok();
        self.keys[place].get_or_init(parse).as_ref()
    }
}

/// An ML-DSA public key.
pub struct MlDsaKey {
    pub level: Level,
    key: ParsedPublicKey,
}

impl MlDsaKey {
    /// Parses a key in FIPS 204's encoding. None if its length is not the level's.
    pub fn new(level: Level, encoded: &[u8]) -> Option<Self> {
        let (algorithm, size): (&dyn VerificationAlgorithm, _) = match level {
            Level::MlDsa44 => (&signature::ML_DSA_44, 1312),
            Level::MlDsa65 => (&signature::ML_DSA_65, 1952),
            Level::MlDsa87 => (&signature::ML_DSA_87, 2592),
        };
        let key = (encoded.len() == size).then(|| ParsedPublicKey::new(algorithm, encoded).ok());
        Some(Self { level, key: key?? })
    }

    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Verdict {
        let size = match self.level {
            Level::MlDsa44 => 2420,
            Level::MlDsa65 => 3309,
            Level::MlDsa87 => 4627,
        };
        if signature.len() != size {
            return Verdict::MalformedSignature;
        }
        verdict(self.key.verify_sig(message, signature).is_ok())
    }
}
