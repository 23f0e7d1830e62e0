//! ECDSA for keys that come again. AWS-LC has tables of the base point's multiples only, and
//! doubles a key's point as often as the order has bits; with tables of the key's multiples too, a
//! verification takes about half as long. Keys that come once or twice, or compressed, stay with
//! AWS-LC.

use std::sync::LazyLock;

use crate::algorithm::Curve;
use crate::group::{Group, Point};
use crate::modular::Words;

/// SP 800-186, section 3.2.1.3.
static P256: LazyLock<Group<4>> = LazyLock::new(|| {
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
});

/// SP 800-186, section 3.2.1.4.
static P384: LazyLock<Group<6>> = LazyLock::new(|| {
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
});

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

pub enum Key {
    P256(Point<4>),
    P384(Point<6>),
    P521(Point<9>),
}

impl Key {
    /// Parses coordinates side by side. None if they are no point of the curve.
    pub fn new(curve: Curve, coordinates: &[u8]) -> Option<Self> {
        match curve {
            Curve::P256 => point(&P256, coordinates).map(Self::P256),
            Curve::P384 => point(&P384, coordinates).map(Self::P384),
            Curve::P521 => point(&P521, coordinates).map(Self::P521),
        }
    }

    /// Returns the size in bytes of the tables that the key may get.
    pub fn tables_bytes(&self) -> usize {
        match self {
            Self::P256(_) => Point::<4>::TABLES_BYTES,
            Self::P384(_) => Point::<6>::TABLES_BYTES,
            Self::P521(_) => Point::<9>::TABLES_BYTES,
        }
    }

    /// Returns whether r and s, both from 1 to n − 1, sign this digest, which is no longer than n
    /// (FIPS 186-5, section 6.4.2). None for the key's first uses, when it has no tables yet.
    pub fn holds(&self, digest: &[u8], r: &[u8], s: &[u8]) -> Option<bool> {
        match self {
            Self::P256(key) => holds(key, digest, r, s),
            Self::P384(key) => holds(key, digest, r, s),
            Self::P521(key) => holds(key, digest, r, s),
        }
    }
}

fn point<const N: usize>(group: &'static Group<N>, coordinates: &[u8]) -> Option<Point<N>> {
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    Some(Point::new(group, group.point(&words(x), &words(y))?))
}

fn holds<const N: usize>(key: &Point<N>, digest: &[u8], r: &[u8], s: &[u8]) -> Option<bool> {
    let (n, r, s) = (&key.group.order, words(r), words(s));
    let inverse = n.invert(&n.encode(&s))?;
    let point = key.sum(&n.multiply(&words(digest), &inverse), &n.multiply(&r, &inverse))?;
    Some(key.group.has_x(&point, &r))
}

/// Reads a big-endian number of at most N words.
fn words<const N: usize>(bytes: &[u8]) -> Words<N> {
    let mut number = [0; N];
    for (word, bytes) in number.iter_mut().zip(bytes.rchunks(8)) {
        *word = bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    number
}
