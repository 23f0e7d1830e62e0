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
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use num_bigint::BigUint;

    use super::*;
    use crate::der::{INTEGER, OCTET_STRING};
    use crate::testing::{Random, bytes, der};

    const PADDINGS: [Padding; 2] = [Padding::Pkcs1, Padding::Pss];
    const HASHES: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

    fn encoded(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let numbers = [der(INTEGER, &[modulus]), der(INTEGER, &[exponent])].concat();
        der(SEQUENCE, &[&numbers])
    }

    /// A key pair whose private operation takes any number.
    struct Pair {
        key: Key,
        n: BigUint,
        d: BigUint,
    }

    impl Pair {
        fn new(size: KeySize) -> Self {
            let pair = KeyPair::generate(size).unwrap();
            let pkcs8 = AsDer::as_der(&pair).unwrap();
            let mut info = Der(Der::only(pkcs8.as_ref(), SEQUENCE).unwrap());
            info.take(INTEGER).unwrap();
            info.take(SEQUENCE).unwrap();
            let private = info.take(OCTET_STRING).unwrap();
            let mut private = Der(Der::only(private, SEQUENCE).unwrap());
            let numbers = [0; 4].map(|_| private.take(INTEGER).unwrap());
            let [_, n, d] = [0, 1, 3].map(|place| BigUint::from_bytes_be(numbers[place]));
            Self { key: Key::new(&encoded(numbers[1], numbers[2])).unwrap(), n, d }
        }

        /// Signs an encoded message, if it is less than the modulus.
        fn sign(&self, encoded: &[u8]) -> Option<Vec<u8>> {
            let encoded = BigUint::from_bytes_be(encoded);
            let power = (encoded < self.n).then(|| encoded.modpow(&self.d, &self.n))?.to_bytes_be();
            Some([vec![0; self.key.size() - power.len()], power].concat())
        }

        fn claim<'a>(&'a self, padding: Padding, hash: Hash, signature: &'a [u8]) -> Claim<'a> {
            Claim::new(&self.key, padding, hash, Signed::Message(b"message"), signature).unwrap()
        }
    }

    fn digest(hash: Hash) -> Vec<u8> {
        Signed::Message(b"message").digest(hash).unwrap().as_ref().to_vec()
    }

    /// The encoded message of PKCS#1 v1.5, and others near it.
    fn pkcs1(hash: Hash, size: usize) -> Vec<Vec<u8>> {
        let digest = digest(hash);
        let info = match hash {
            Hash::Sha256 => "3031300d060960864801650304020105000420",
            Hash::Sha384 => "3041300d060960864801650304020205000430",
            _ => "3051300d060960864801650304020305000440",
        };
        let filled = |start: &[u8], end: &[u8]| {
            [start, &vec![0xff; size - start.len() - end.len()], end].concat()
        };
        let end = |info: &str| [&[0], &bytes(info)[..], &digest].concat();
        let right = filled(&[0, 1], &end(info));
        let mut all = vec![right.clone(), filled(&[0, 2], &end(info)), filled(&[1], &end(info))];
        // Bytes before and after the digest, a shorter filling with the rest behind the digest, no
        // NULL, another hash's name.
        all.push(filled(&[0, 1], &[&[0], &end(info)[..]].concat()));
        all.push(filled(&[0, 1], &[&end(info)[..], &[0]].concat()));
        let tail = vec![0; size - 10 - end(info).len()];
        all.push([&[0, 1], &[0xff; 8][..], &end(info), &tail].concat());
        let size = digest.len() as u8;
        let start = format!("30{:02x}300b06096086480165030402", size + 15);
        let number = size / 16 - 1;
        all.push(filled(&[0, 1], &end(&format!("{start}{number:02x}04{size:02x}"))));
        all.push(filled(&[0, 1], &end(&info.replace("03040201", "03040202"))));
        all.push(filled(&[0, 1], &[&bytes(info)[..], &digest].concat()));
        all.push(filled(&[0, 1], &[&[0], &digest[..]].concat()));
        for place in [2, 9, 100, right.len() - size as usize - 20, right.len() - 1] {
            let mut wrong = right.clone();
            wrong[place] ^= 0x10;
            all.push(wrong);
        }
        all
    }

    /// The encoded message of PSS, and others near it.
    fn pss(hash: Hash, size: usize) -> Vec<Vec<u8>> {
        let by = |parts: &[&[u8]]| {
            let all = parts.concat();
            Signed::Message(&all).digest(hash).unwrap().as_ref().to_vec()
        };
        let length = hash.size();
        let message = |filling: &[u8], salt: &[u8], change: &[u8], trailer: u8| {
            let mut hashed = by(&[&[0; 8], &digest(hash), salt]);
            hashed.iter_mut().zip(change).for_each(|(byte, change)| *byte ^= change);
            let zeros = vec![0; size - length - 1 - salt.len() - filling.len()];
            let mut block = [&zeros, filling, salt].concat();
            for (counter, part) in (0u32..).zip(block.chunks_mut(length)) {
                let mask = by(&[&hashed, &counter.to_be_bytes()]);
                part.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
            }
            block[0] &= 0x7f;
            [&block[..], &hashed, &[trailer]].concat()
        };
        let salt = vec![7; length];
        let right = message(&[1], &salt, &[], 0xbc);
        let mut all = vec![right.clone(), message(&[1], &vec![0; length], &[], 0xbc)];
        // Salts of other lengths, also such as begin with what ends a filling.
        for other in [0, 1, length - 1, length + 1, size - length - 2] {
            all.push(message(&[1], &vec![7; other], &[], 0xbc));
            all.push(message(&[1], &vec![1; other], &[], 0xbc));
        }
        all.push(message(&[2], &salt, &[], 0xbc));
        all.push(message(&[1, 0], &salt, &[], 0xbc));
        all.push(message(&[1, 1], &salt, &[], 0xbc));
        all.push(message(&[], &salt, &[], 0xbc));
        all.push(message(&[1], &salt, &[1], 0xbc));
        all.push(message(&[1], &salt, &[], 0xcc));
        for (place, bit) in [(0, 0x80), (0, 0x40), (size - length - 2, 1), (size - 2, 1)] {
            let mut wrong = right.clone();
            wrong[place] ^= bit;
            all.push(wrong);
        }
        all
    }

    #[test]
    fn every_lane_returns_the_verdicts_of_aws_lc() {
        let mut random = Random::new(1);
        for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
            let pair = Pair::new(size);
            for (padding, hash) in PADDINGS.iter().flat_map(|p| HASHES.map(|hash| (*p, hash))) {
                let encoded = match padding {
                    Padding::Pkcs1 => pkcs1(hash, pair.key.size()),
                    Padding::Pss => pss(hash, pair.key.size()),
                };
                let right = pair.sign(&encoded[0]).unwrap();
                let mut signatures: Vec<_> =
                    encoded.iter().filter_map(|encoded| pair.sign(encoded)).collect();
                let mut flipped = right.clone();
                flipped[random.word() as usize % (right.len() - 8) + 8] ^= 1;
                signatures.push(flipped);
                for small in [0, 1] {
                    signatures.push([vec![0; right.len() - 1], vec![small]].concat());
                }
                for (lane, signature) in signatures.iter().enumerate() {
                    let lane = lane % LANES;
                    let claims: [_; LANES] = std::array::from_fn(|place| {
                        let signature = if place == lane { signature } else { &right };
                        pair.claim(padding, hash, signature)
                    });
                    let mut expected = [Verdict::Valid; LANES];
                    expected[lane] = claims[lane].by_aws_lc();
                    assert_eq!(
                        expected[lane] == Verdict::Valid,
                        *signature == right || {
                            // The other salt of the right length.
                            padding == Padding::Pss && *signature == signatures[1]
                        }
                    );
                    assert_eq!(settle(&claims), expected, "{padding:?}, {hash:?}, {lane}");
                }
            }
        }
    }

    #[test]
    fn one_bad_signature_is_found_at_every_place_among_all_sizes() {
        let pairs = [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096].map(Pair::new);
        let hash = Hash::Sha256;
        let sign = |pair: &Pair| pair.sign(&pkcs1(hash, pair.key.size())[0]).unwrap();
        let right = pairs.each_ref().map(sign);
        let wrong = right.clone().map(|mut signature| {
            *signature.last_mut().unwrap() ^= 1;
            signature
        });
        for count in [1, 7, 8, 24, 27, 50] {
            for bad in 0..count {
                let claim = |place: usize| {
                    let signatures = if place == bad { &wrong } else { &right };
                    let (pair, signature) = (&pairs[place % 3], &signatures[place % 3]);
                    Claim::new(
                        &pair.key,
                        Padding::Pkcs1,
                        hash,
                        Signed::Message(b"message"),
                        signature,
                    )
                };
                let claims: Vec<_> = (0..count).map(|place| claim(place).ok().unwrap()).collect();
                let bad =
                    |place| if place == bad { Verdict::InvalidSignature } else { Verdict::Valid };
                assert_eq!(settle(&claims), (0..count).map(bad).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn other_exponents_and_sizes_are_for_aws_lc() {
        let odd = |size: usize| [&[0], &vec![0xff; size][..]].concat();
        let lanes = |size: usize, exponent: &[u8]| {
            Key::new(&encoded(&odd(size), exponent)).unwrap().in_lanes.is_some()
        };
        let expected = cfg!(target_arch = "x86_64");
        assert!([256, 384, 512].iter().all(|&size| lanes(size, &[1, 0, 1]) == expected));
        assert!(![257, 320, 1024].iter().any(|&size| lanes(size, &[1, 0, 1])));
        assert!(!lanes(256, &[3]) && !lanes(256, &[1, 0, 3]));
    }

    #[test]
    fn keys_are_odd_numbers_within_bounds() {
        let key = |modulus: &[u8], exponent: &[u8]| {
            Key::new(&encoded(modulus, exponent)).map(|key| key.size())
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
