//! ECDSA and ML-DSA by AWS-LC, which reports malformed and wrong signatures alike: so each
//! signature's form is checked first, on its bytes.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};

use crate::algorithm::{Curve, Encoding, Hash, Level, Verdict};
use crate::der::{Der, INTEGER, SEQUENCE};
use crate::ecdsa_claims::{Alone, Claim};
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
    pub fn digest(self, hash: Hash) -> Option<Digest> {
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

pub fn verdict(holds: bool) -> Verdict {
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

    /// Returns the claim that a well-formed signature holds, to be settled with others. None where it
    /// gains nothing by company, for a compressed key, and for a malformed signature.
    pub fn claim<'a>(
        &'a self,
        encoding: Encoding,
        signed: Signed,
        signature: &'a [u8],
    ) -> Option<Claim<'a>> {
        let key = self.repeated.as_deref().filter(|key| key.gains_by_company())?;
        let (r, s) = self.curve.split(encoding, signature)?;
        let digest = signed.digest(self.curve.hash())?;
        Some(Claim::new(key, Alone { key: self, encoding, digest, signature }, r, s))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, der};

    const CURVES: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

    /// The order less 1, by its last byte, which is odd for a prime.
    fn largest_scalar(curve: Curve) -> Vec<u8> {
        let mut number = curve.order().to_vec();
        *number.last_mut().unwrap() -= 1;
        number
    }

    fn pair(r: &[u8], s: &[u8]) -> Vec<u8> {
        der(SEQUENCE, &[&der(INTEGER, &[r]), &der(INTEGER, &[s])])
    }

    #[test]
    fn scalars_are_from_1_to_the_order_less_1_in_either_encoding() {
        for curve in CURVES {
            let size = curve.order().len();
            let one = [vec![0; size - 1], vec![1]].concat();
            let largest = largest_scalar(curve);
            let signature = [one.clone(), largest.clone()].concat();
            let expected = Some((&[1][..], trim(&largest)));
            assert_eq!(curve.split(Encoding::P1363, &signature), expected);
            let encoded = encode_pair(&[1], trim(&largest));
            assert_eq!(curve.split(Encoding::Der, &encoded), expected);
            for wrong in [vec![0; size], curve.order().to_vec(), vec![0xff; size]] {
                for signature in [[&wrong[..], &one], [&one[..], &wrong]] {
                    assert_eq!(curve.split(Encoding::P1363, &signature.concat()), None);
                }
            }
            let order = encode_pair(&[1], trim(curve.order()));
            assert_eq!(curve.split(Encoding::Der, &order), None);
        }
    }

    #[test]
    fn plain_pairs_have_the_curve_s_length() {
        for curve in CURVES {
            let size = curve.order().len();
            for wrong in [0, 1, size, 2 * size - 1, 2 * size + 1] {
                assert_eq!(curve.split(Encoding::P1363, &vec![1; wrong]), None, "{wrong}");
            }
        }
    }

    #[test]
    fn der_pairs_are_canonical() {
        let split = |signature: &[u8]| Curve::P256.split(Encoding::Der, signature).is_some();
        assert!(split(&pair(&[1], &[2])));
        // Zeros that are not needed, zero, a negative number.
        for number in [&[0, 1][..], &[0], &[0x80], &[]] {
            assert!(!split(&pair(number, &[2])) && !split(&pair(&[2], number)));
        }
        let three = [der(INTEGER, &[&[1]]), der(INTEGER, &[&[2]]), der(INTEGER, &[&[3]])].concat();
        assert!(!split(&der(SEQUENCE, &[&three])));
        assert!(!split(&[pair(&[1], &[2]), vec![0]].concat()));
        assert!(!split(&der(SEQUENCE, &[&der(INTEGER, &[&[1]])])));
    }

    #[test]
    fn pairs_are_encoded_as_der_reads_them() {
        // Without and with a sign's zero, and, for P-521, with a length of two bytes.
        let long = [vec![1], vec![0xff; 65]].concat();
        for (r, s) in [(&[1][..], &[0x7f][..]), (&[0x80], &[0xff; 32]), (&long, &long)] {
            let encoded = encode_pair(r, s);
            let mut decoded = Der(Der::only(&encoded, SEQUENCE).unwrap());
            assert_eq!((decoded.positive(), decoded.positive()), (Some(r), Some(s)));
            assert!(decoded.is_empty());
        }
    }

    #[test]
    fn points_have_the_form_and_length_of_their_curve_s() {
        // SP 800-186, section 3.2.1.3: the base point of P-256, whose y is odd.
        let x = bytes("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
        let y = bytes("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
        let is_key = |parts: &[&[u8]]| EcdsaKey::new(Curve::P256, &parts.concat()).is_some();
        assert!(is_key(&[&[4], &x, &y]));
        assert!(is_key(&[&[3], &x]) && is_key(&[&[2], &x]));
        // Infinity, the hybrid form, another length, a point that is not on the curve.
        assert!(!is_key(&[&[0]]) && !is_key(&[&[7], &x, &y]) && !is_key(&[]));
        assert!(!is_key(&[&[4], &x]) && !is_key(&[&[3], &x, &y]) && !is_key(&[&[4], &x, &y, &[0]]));
        assert!(!is_key(&[&[4], &y, &x]));
    }
}
