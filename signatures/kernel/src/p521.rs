//! ECDSA on P-521 for keys that come again. AWS-LC doubles 521 times and spends a quarter of the
//! time on inverting s without assembly; with tables of a key's multiples a verification takes half
//! as long. Keys that come once or twice, or compressed, stay with AWS-LC.

use std::sync::LazyLock;

use crate::group::{Group, Point};
use crate::modular::Words;

/// SP 800-186, section 3.2.1.5.
static P521: LazyLock<Group<9>> = LazyLock::new(|| {
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
});

pub struct Key(Point<9>);

impl Key {
    pub const BYTES: usize = Point::<9>::TABLES_BYTES;

    /// The key of these coordinates side by side, 66 bytes each.
    pub fn new(coordinates: &[u8]) -> Option<Self> {
        let (x, y) = coordinates.split_at_checked(66)?;
        P521.point(&words(x), &words(y)).map(|point| Self(Point::new(&P521, point)))
    }

    /// Whether r and s, both from 1 to n − 1, sign this SHA-512 digest; none while the key has come
    /// too little to say (FIPS 186-5, section 6.4.2).
    pub fn holds(&self, digest: &[u8], r: &[u8], s: &[u8]) -> Option<bool> {
        let (n, r, s) = (&P521.order, words(r), words(s));
        let inverse = n.invert(&n.encode(&s))?;
        let point = self.0.sum(&n.multiply(&words(digest), &inverse), &n.multiply(&r, &inverse))?;
        Some(P521.has_x(&point, &r))
    }
}

/// A big-endian number of 72 bytes at most.
fn words(bytes: &[u8]) -> Words<9> {
    let mut number = [0; 9];
    for (word, bytes) in number.iter_mut().zip(bytes.rchunks(8)) {
        *word = bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    number
}
