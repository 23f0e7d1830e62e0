//! ECDSA for keys that come again. AWS-LC has tables of the base point's multiples only, and
//! doubles a key's point as often as the order has bits; with tables of the key's multiples too
//! (known_keys, nist_trees), a verification takes a fraction of that. Keys that come once or twice, or
//! compressed, stay with AWS-LC.

use std::sync::LazyLock;

use crate::algorithm::Curve;
use crate::group::{Group, Point};
use crate::known_keys::KnownKey;
use crate::modular::Words;
use crate::primes;

/// SP 800-186, section 3.2.1.3.
pub static P256: LazyLock<Group<4>> = LazyLock::new(|| {
    Group::new(
        1,
        [
            "FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF",
            "FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFC",
            "5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B",
            "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551",
            "6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296",
            "4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5",
        ],
    )
    .with_prime::<primes::P256, 5>()
});

/// SP 800-186, section 3.2.1.4.
pub static P384: LazyLock<Group<6>> = LazyLock::new(|| {
    Group::new(
        1,
        [
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\
         FFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF",
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\
         FFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFC",
            "B3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE814112\
         0314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF",
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\
         C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
            "AA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B98\
         59F741E082542A385502F25DBF55296C3A545E3872760AB7",
            "3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147C\
         E9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F",
        ],
    )
    .with_prime::<primes::P384, 8>()
});

/// SP 800-186, section 3.2.1.5.
pub static P521: LazyLock<Group<9>> = LazyLock::new(|| {
    Group::new(
        1,
        [
            "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\
         FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
            "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\
         FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC",
            "0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109\
         E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00",
            "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\
         FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
            "00C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3D\
         BAA14B5E77EFE75928FE1DC127A2FFA8DE3348B3C1856A429BF97E7E31C2E5BD66",
            "011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E66\
         2C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650",
        ],
    )
    .with_prime::<primes::P521, 11>()
});

pub enum Key {
    P256(KnownKey<4>),
    P384(KnownKey<6>),
    P521(KnownKey<9>),
}

impl Key {
    /// Parses coordinates side by side. None if they are no point of the curve.
    pub fn new(curve: Curve, coordinates: &[u8]) -> Option<Self> {
        match curve {
            Curve::P256 => known(&P256, coordinates).map(Self::P256),
            Curve::P384 => known(&P384, coordinates).map(Self::P384),
            Curve::P521 => known(&P521, coordinates).map(Self::P521),
        }
    }

    /// Returns the size in bytes of the tables that the key may get.
    pub fn tables_bytes(&self) -> usize {
        match self {
            Self::P256(key) => key.tables_bytes(),
            Self::P384(key) => key.tables_bytes(),
            Self::P521(key) => key.tables_bytes(),
        }
    }

    /// Returns whether a signature is verified faster with others.
    pub fn gains_by_company(&self) -> bool {
        match self {
            Self::P256(key) => key.gains_by_company(),
            Self::P384(key) => key.gains_by_company(),
            Self::P521(key) => key.gains_by_company(),
        }
    }

    /// Returns whether r and s, both from 1 to n − 1, sign this digest, which is no longer than n
    /// (FIPS 186-5, section 6.4.2). None for the key's first uses, when it has no tables yet.
    pub fn holds(&self, digest: &[u8], r: &[u8], s: &[u8]) -> Option<bool> {
        match self {
            Self::P256(key) => key.holds(&words(digest), &words(r), &words(s)),
            Self::P384(key) => key.holds(&words(digest), &words(r), &words(s)),
            Self::P521(key) => key.holds(&words(digest), &words(r), &words(s)),
        }
    }
}

fn known<const N: usize>(group: &'static Group<N>, coordinates: &[u8]) -> Option<KnownKey<N>> {
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    Some(KnownKey::new(Point::new(group, group.point(&words(x), &words(y))?)))
}

/// Reads a big-endian number of at most N words.
pub fn words<const N: usize>(bytes: &[u8]) -> Words<N> {
    let mut number = [0; N];
    for (word, bytes) in number.iter_mut().zip(bytes.rchunks(8)) {
        *word = bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    number
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::algorithm::{Encoding, Verdict};
    use crate::aws_lc::{EcdsaKey, Signed};
    use crate::group::tests::assert_group_of_prime_order;
    use crate::testing::{Random, big, words as of_big};

    /// Uses after which a key has tables, so that our arithmetic and not AWS-LC's answers.
    const ENOUGH_USES: usize = 3;

    #[test]
    fn every_group_has_prime_order_and_its_cofactor() {
        assert_group_of_prime_order(&P256);
        assert_group_of_prime_order(&P384);
        assert_group_of_prime_order(&P521);
    }

    #[test]
    fn big_endian_numbers_fill_words_from_the_lowest() {
        assert_eq!(words(&[]), [0, 0]);
        assert_eq!(words(&[1, 2]), [0x0102, 0]);
        assert_eq!(words(&[3, 0, 0, 0, 0, 0, 0, 0, 4]), [4, 3]);
    }

    /// Writes a number in so many bytes, big-endian.
    fn padded(number: &BigUint, size: usize) -> Vec<u8> {
        let digits = number.to_bytes_be();
        [vec![0; size - digits.len()], digits].concat()
    }

    /// A secret number and its public key, of a curve whose coordinates have so many bytes.
    struct Signer<const N: usize> {
        group: &'static Group<N>,
        size: usize,
        secret: BigUint,
        coordinates: Vec<u8>,
    }

    impl<const N: usize> Signer<N> {
        fn new(group: &'static Group<N>, size: usize, secret: &Words<N>) -> Self {
            let (x, y) = group.base_times(secret).unwrap();
            let coordinates = [padded(&big(&x), size), padded(&big(&y), size)].concat();
            Self { group, size, secret: big(secret), coordinates }
        }

        /// r and s as FIPS 186-5, section 6.4.1, has them, side by side.
        fn sign(&self, digest: &[u8], nonce: &Words<N>) -> Vec<u8> {
            let n = big(&self.group.order.words);
            let (x, _) = self.group.base_times(nonce).unwrap();
            let r = big(&x) % &n;
            let e = BigUint::from_bytes_be(digest);
            let s = big(nonce).modinv(&n).unwrap() * (e + &r * &self.secret) % &n;
            [padded(&r, self.size), padded(&s, self.size)].concat()
        }
    }

    #[test]
    fn a_key_that_comes_again_gets_the_verdicts_of_aws_lc() {
        fn check<const N: usize>(curve: Curve, group: &'static Group<N>, size: usize) {
            let mut random = Random::new(9);
            let signer = Signer::new(group, size, &random.below(&group.order.words));
            let digest = vec![0xff; curve.hash().size()];
            let right = signer.sign(&digest, &random.below(&group.order.words));
            let mut wrong = right.clone();
            wrong[2 * size - 1] ^= 1;
            for (signature, expected) in
                [(&right, Verdict::Valid), (&wrong, Verdict::InvalidSignature)]
            {
                let key = EcdsaKey::new(curve, &[&[4], &signer.coordinates[..]].concat()).unwrap();
                for _ in 0..2 * ENOUGH_USES {
                    let verdict = key.verify(Encoding::P1363, Signed::Digest(&digest), signature);
                    assert_eq!(verdict, expected);
                }
            }
        }
        check(Curve::P256, &P256, 32);
        check(Curve::P384, &P384, 48);
        check(Curve::P521, &P521, 66);
    }

    #[test]
    fn a_key_gives_no_verdict_before_its_third_use() {
        let signer = Signer::new(&P384, 48, &[7, 0, 0, 0, 0, 0]);
        let signature = signer.sign(&[1; 48], &[9, 0, 0, 0, 0, 0]);
        let (r, s) = signature.split_at(48);
        let key = Key::new(Curve::P384, &signer.coordinates).unwrap();
        let verdicts = [(); ENOUGH_USES + 1].map(|()| key.holds(&[1; 48], r, s));
        assert_eq!(verdicts, [None, None, Some(true), Some(true)]);
    }

    #[test]
    fn a_sum_at_infinity_signs_nothing() {
        // With e = −rd the point e/s·G + r/s·Q is infinity, whatever s.
        let signer = Signer::new(&P384, 48, &[7, 0, 0, 0, 0, 0]);
        let n = big(&P384.order.words);
        let r = BigUint::from(5u32);
        let e = padded(&(&n - &r * &signer.secret), 48);
        let key = Key::new(Curve::P384, &signer.coordinates).unwrap();
        let verdicts = [(); ENOUGH_USES].map(|()| key.holds(&e, &[5], &[1]));
        assert_eq!(verdicts.last(), Some(&Some(false)));
    }

    #[test]
    fn coordinates_that_are_no_point_are_no_key() {
        let right = Signer::new(&P384, 48, &of_big(&BigUint::from(3u32))).coordinates;
        let mut off_the_curve = right.clone();
        off_the_curve[95] ^= 1;
        assert!(Key::new(Curve::P384, &right).is_some());
        assert!(Key::new(Curve::P384, &off_the_curve).is_none());
        // x + p is the same number modulo p: P-521's p leaves room for it in 66 bytes.
        let signer = Signer::new(&P521, 66, &of_big(&BigUint::from(3u32)));
        let (x, y) = signer.coordinates.split_at(66);
        let x = BigUint::from_bytes_be(x) + big(&P521.curve.p.words);
        assert!(Key::new(Curve::P521, &[&padded(&x, 66), y].concat()).is_none());
    }
}
