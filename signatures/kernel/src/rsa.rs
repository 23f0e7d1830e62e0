//! RSA: eight signatures at once where the machine has lanes for them, else each by AWS-LC. AWS-LC
//! reports malformed and wrong signatures alike, so each signature's form is checked first.

use std::sync::OnceLock;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{self, ParsedPublicKey};

use crate::algorithm::{Hash, Padding, Verdict};
use crate::aws_lc::{Signed, verdict};
use crate::der::{Der, SEQUENCE};
#[cfg(target_arch = "x86_64")]
use crate::entries::rsa_powers;
#[cfg(target_arch = "x86_64")]
use crate::rsa_lanes::{LANES, Modulus};
use crate::rsa_padding;
#[cfg(not(target_arch = "x86_64"))]
use no_lanes::{LANES, Modulus, rsa_powers};

/// The exponent that the lanes raise to.
const LANES_EXPONENT: u64 = 65537;

/// A public key. AWS-LC binds a parsed key to one algorithm, so the key is parsed again when an
/// algorithm is first used.
pub struct Key {
    encoded: Box<[u8]>,
    modulus: Box<[u8]>,
    /// For the lanes; None for a size or an exponent that they do not serve.
    in_lanes: Option<Modulus>,
    keys: [OnceLock<Option<ParsedPublicKey>>; 6],
}

impl Key {
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
            in_lanes: (exponent == LANES_EXPONENT).then(|| Modulus::new(modulus)).flatten(),
            keys: Default::default(),
        })
    }

    pub fn size(&self) -> usize {
        self.modulus.len()
    }

    fn parsed(&self, padding: Padding, hash: Hash) -> Option<&ParsedPublicKey> {
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

/// A well-formed signature that is not yet verified: as long as the modulus, and less.
pub struct Claim<'a> {
    key: &'a Key,
    padding: Padding,
    hash: Hash,
    digest: Digest,
    signature: &'a [u8],
}

impl<'a> Claim<'a> {
    /// Checks a signature's form, and hashes the message. The error is the verdict.
    pub fn new(
        key: &'a Key,
        padding: Padding,
        hash: Hash,
        signed: Signed,
        signature: &'a [u8],
    ) -> Result<Self, Verdict> {
        if signature.len() != key.modulus.len() || *signature >= *key.modulus {
            return Err(Verdict::MalformedSignature);
        }
        let digest = signed.digest(hash).ok_or(Verdict::InvalidSignature)?;
        Ok(Self { key, padding, hash, digest, signature })
    }

    fn by_aws_lc(&self) -> Verdict {
        let key = self.key.parsed(self.padding, self.hash);
        verdict(key.is_some_and(|key| key.verify_digest_sig(&self.digest, self.signature).is_ok()))
    }
}

/// Returns one verdict for each claim.
pub fn settle(claims: &[Claim]) -> Vec<Verdict> {
    let mut verdicts = vec![None; claims.len()];
    for bits in Modulus::SIZES {
        let modulus = |claim: &Claim<'_>| Some(claim.key.in_lanes.as_ref()?.bits() == bits);
        let of_size = |&place: &usize| modulus(&claims[place]) == Some(true);
        let places: Vec<_> = (0..claims.len()).filter(of_size).collect();
        for places in places.as_chunks().0 {
            if let Some(settled) = in_lanes(places.map(|place| &claims[place])) {
                places.iter().zip(settled).for_each(|(&place, v)| verdicts[place] = Some(v));
            }
        }
    }
    let settled = verdicts.into_iter().zip(claims);
    settled.map(|(verdict, claim)| verdict.unwrap_or_else(|| claim.by_aws_lc())).collect()
}

/// Returns the verdicts of claims whose moduli have one size. None if the machine has no lanes.
fn in_lanes(claims: [&Claim; LANES]) -> Option<[Verdict; LANES]> {
    let moduli = claims.map(|claim| claim.key.in_lanes.as_ref().expect("the size is known"));
    let encoded = rsa_powers(moduli, claims.map(|claim| claim.signature))?;
    let holds = |lane: usize| {
        let Claim { padding, digest, .. } = claims[lane];
        verdict(rsa_padding::holds(*padding, digest, &encoded[lane]))
    };
    Some(std::array::from_fn(holds))
}

/// Elsewhere there are no lanes, so no modulus is made for them.
#[cfg(not(target_arch = "x86_64"))]
mod no_lanes {
    pub const LANES: usize = 8;

    pub enum Modulus {}

    impl Modulus {
        pub const SIZES: [usize; 0] = [];

        pub fn new(_: &[u8]) -> Option<Self> {
            None
        }

        pub fn bits(&self) -> usize {
            match *self {}
        }
    }

    pub fn rsa_powers(moduli: [&Modulus; LANES], _: [&[u8]; LANES]) -> Option<[Vec<u8>; LANES]> {
        match *moduli[0] {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::INTEGER;
    use crate::testing::der;

    #[test]
    fn keys_are_odd_numbers_within_bounds() {
        let key = |modulus: &[u8], exponent: &[u8]| {
            let numbers = [der(INTEGER, &[modulus]), der(INTEGER, &[exponent])].concat();
            Key::new(&der(SEQUENCE, &[&numbers])).map(|key| key.size())
        };
        let of_size = |size: usize| [&[0], &vec![0xff; size][..]].concat();
        assert_eq!(key(&of_size(256), &[1, 0, 1]), Some(256));
        assert_eq!(key(&of_size(1024), &[3]), Some(1024));
        assert_eq!(key(&of_size(256), &[1, 0, 0, 0, 1]), Some(256));
        // Moduli of 2,047 and 8,193 bits, and an even one.
        let shorter = [&[0x7f], &[0xff; 255][..]].concat();
        let longer = [&[1], &[0xff; 1024][..]].concat();
        let even = [&[0], &[0xff; 255][..], &[0xfe]].concat();
        for wrong in [shorter, longer, even] {
            assert_eq!(key(&wrong, &[1, 0, 1]), None);
        }
        // 1, an even number, 2³³ + 1, more than eight bytes.
        for wrong in [&[1][..], &[4], &[2, 0, 0, 0, 1], &[1; 9]] {
            assert_eq!(key(&of_size(256), wrong), None);
        }
    }
}
