//! GOST R 34.10-2012 (GOST 34.10-2015 in Kazakhstan), RFC 7091, with Streebog, RFC 6986.

use streebog::{Digest, Streebog256, Streebog512};

use crate::algorithm::{Size, Verdict};
use crate::aws_lc::Signed;
use crate::der::{Der, OCTET_STRING, SEQUENCE};
use crate::gost_curves;
use crate::group::{Group, Point};
use crate::modular::Words;
use crate::weierstrass::{Jacobian, Table};

/// Window width of a key's first table, of eight points: it serves a key that comes once or twice.
const FIRST_WIDTH: u32 = 5;

// Contents of object identifiers.
const TC26_KEY: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x01];
const TC26_DIGEST: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x02];
const KAZAKH_KEY: &[u8] = &[0x2a, 0x83, 0x0e, 0x03, 0x0a, 0x01, 0x01, 0x02];
const KAZAKH_DIGEST: &[u8] = &[0x2a, 0x83, 0x0e, 0x03, 0x0a, 0x01, 0x03];

/// The byte order of signatures: r‖s little-endian under Kazakhstan's OIDs, s‖r big-endian under
/// TC26's (RFC 9215), which is the same bytes in reverse.
#[derive(Clone, Copy, PartialEq)]
enum Writing {
    Kazakh,
    Tc26,
}

pub enum Key {
    Bits256(PointKey<4>),
    Bits512(PointKey<8>),
}

/// Returns the size and byte order that a GOST key's identifier implies. None for other keys'.
fn kind_of(identifier: &[u8]) -> Option<(Size, Writing)> {
    let (last, prefix) = identifier.split_last()?;
    match (prefix, last) {
        (TC26_KEY, 1) => Some((Size::Bits256, Writing::Tc26)),
        (TC26_KEY, 2) => Some((Size::Bits512, Writing::Tc26)),
        (KAZAKH_KEY, 1) => Some((Size::Bits256, Writing::Kazakh)),
        (KAZAKH_KEY, 2) => Some((Size::Bits512, Writing::Kazakh)),
        _ => None,
    }
}

fn is_digest(identifier: &[u8], size: Size) -> bool {
    let (tc26, kazakh) = match size {
        Size::Bits256 => (2, 2),
        Size::Bits512 => (3, 3),
    };
    identifier.split_last().is_some_and(|(&last, prefix)| {
        (prefix, last) == (TC26_DIGEST, tc26) || (prefix, last) == (KAZAKH_DIGEST, kazakh)
    })
}

impl Key {
    /// Parses the parts of a SubjectPublicKeyInfo. None if the identifier is not a GOST key's.
    pub fn parse(
        identifier: &[u8],
        parameters: &[u8],
        key: &[u8],
    ) -> Option<Result<Self, Verdict>> {
        let (size, writing) = kind_of(identifier)?;
        Some(Self::parse_kind(size, writing, parameters, key))
    }

    fn parse_kind(
        size: Size,
        writing: Writing,
        parameters: &[u8],
        key: &[u8],
    ) -> Result<Self, Verdict> {
        let (curve, digest) = split_parameters(parameters).ok_or(Verdict::MalformedKey)?;
        if digest.is_some_and(|digest| !is_digest(digest, size)) {
            return Err(Verdict::UnsupportedAlgorithm);
        }
        let encoded = Der::only(key, OCTET_STRING);
        match size {
            Size::Bits256 => {
                let group = gost_curves::of_256_bits(curve).ok_or(Verdict::UnsupportedAlgorithm)?;
                let point = encoded.and_then(|encoded| PointKey::parse(group, writing, encoded));
                point.map(Self::Bits256)
            }
            Size::Bits512 => {
                let group = gost_curves::of_512_bits(curve).ok_or(Verdict::UnsupportedAlgorithm)?;
                let point = encoded.and_then(|encoded| PointKey::parse(group, writing, encoded));
                point.map(Self::Bits512)
            }
        }
        .ok_or(Verdict::MalformedKey)
    }

    /// Returns about how many bytes the key takes in memory, with the word tables that it may get.
    pub fn weight(&self) -> usize {
        match self {
            Self::Bits256(_) => 1024 + Point::<4>::TABLES_BYTES,
            Self::Bits512(_) => 2048 + Point::<8>::TABLES_BYTES,
        }
    }

    pub fn size(&self) -> Size {
        match self {
            Self::Bits256(_) => Size::Bits256,
            Self::Bits512(_) => Size::Bits512,
        }
    }

    pub fn verify(&self, signed: Signed, signature: &[u8]) -> Verdict {
        match (self, signed) {
            (Self::Bits256(key), Signed::Digest(digest)) => key.verify(digest, signature),
            (Self::Bits512(key), Signed::Digest(digest)) => key.verify(digest, signature),
            (Self::Bits256(key), Signed::Message(message)) => {
                key.verify(&Streebog256::digest(message), signature)
            }
            (Self::Bits512(key), Signed::Message(message)) => {
                key.verify(&Streebog512::digest(message), signature)
            }
        }
    }
}

/// Splits parameters into the curve's identifier and the hash's, which is optional.
fn split_parameters(parameters: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut names = Der(Der::only(parameters, SEQUENCE)?);
    let curve = names.object_identifier()?;
    let digest = if names.is_empty() { None } else { Some(names.object_identifier()?) };
    names.is_empty().then_some((curve, digest))
}

/// A public key: a point of the group, and how its signatures are written.
pub struct PointKey<const N: usize> {
    writing: Writing,
    point: Point<N>,
    first_table: Table<N>,
}

impl<const N: usize> PointKey<N> {
    fn parse(group: &'static Group<N>, writing: Writing, encoded: &[u8]) -> Option<Self> {
        let (x, y) = halves(encoded)?;
        let (curve, point) = (&group.curve, group.point(&x, &y)?);
        let first_table = curve.table(&point, FIRST_WIDTH)?;
        // With cofactor 1, every point of the curve but infinity is in the group.
        let is_in_group = group.cofactor == 1
            || curve.p.is_zero(&curve.multiple(&group.order.words, &first_table).z);
        is_in_group.then(|| Self { writing, point: Point::new(group, point), first_table })
    }

    fn verify(&self, digest: &[u8], signature: &[u8]) -> Verdict {
        let group = self.point.group;
        let numbers = match self.writing {
            Writing::Kazakh => halves(signature),
            Writing::Tc26 => halves(&signature.iter().rev().copied().collect::<Vec<_>>()),
        };
        let numbers = numbers.filter(|(r, s)| group.has_scalar(r) && group.has_scalar(s));
        let Some((r, s)) = numbers else {
            return Verdict::MalformedSignature;
        };
        match words(digest).and_then(|digest| self.holds(&digest, &r, &s)) {
            Some(true) => Verdict::Valid,
            _ => Verdict::InvalidSignature,
        }
    }

    /// Returns whether the x of C = e⁻¹(sP − rQ) is r modulo q (RFC 7091, section 6.2).
    fn holds(&self, digest: &Words<N>, r: &Words<N>, s: &Words<N>) -> Option<bool> {
        let q = &self.point.group.order;
        let mut e = q.reduce(digest);
        if e == [0; N] {
            e[0] = 1;
        }
        let v = q.invert(&q.encode(&e))?;
        // An encoded factor and a plain one make a plain product.
        let c = self.sum(&q.multiply(s, &v), &q.negate(&q.multiply(r, &v)));
        Some(self.point.group.has_x(&c, r))
    }

    fn sum(&self, by_base: &Words<N>, by_key: &Words<N>) -> Jacobian<N> {
        self.point.sum(by_base, by_key).unwrap_or_else(|| {
            let group = self.point.group;
            group.curve.sum(by_base, group.base_tables(), by_key, &self.first_table)
        })
    }
}

/// Splits bytes into two little-endian numbers of N words. None for any other length.
fn halves<const N: usize>(bytes: &[u8]) -> Option<(Words<N>, Words<N>)> {
    let (first, second) = bytes.split_at_checked(8 * N)?;
    Some((words(first)?, words(second)?))
}

fn words<const N: usize>(bytes: &[u8]) -> Option<Words<N>> {
    let (words, rest) = bytes.as_chunks::<8>();
    if words.len() != N || !rest.is_empty() {
        return None;
    }
    let mut number = [0; N];
    for (word, bytes) in number.iter_mut().zip(words) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(number)
}
