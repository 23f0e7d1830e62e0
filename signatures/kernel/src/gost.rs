//! GOST R 34.10-2012 (GOST 34.10-2015 in Kazakhstan), RFC 7091, with Streebog, RFC 6986.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use streebog::{Digest, Streebog256, Streebog512};

use crate::algorithm::{Size, Verdict};
use crate::aws_lc::Signed;
use crate::der::{Der, OCTET_STRING, SEQUENCE};
use crate::gost_curves::{self, Group};
use crate::modular::{self, Words, is_below};
use crate::weierstrass::{Affine, Jacobian, Table, WordTables};

/// A key's own table, eight points: what serves a key that comes once.
const KEY_WIDTH: u32 = 5;

/// A key used so often gets word tables, which cost as much as one verification to make and
/// halve the cost of the next. They are 16 KB for 512 bits.
const USES_BEFORE_TABLES: u32 = 2;
const WORD_WIDTH: u32 = 6;

// Contents of object identifiers.
const TC26_KEY: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x01];
const TC26_DIGEST: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x02];
const KAZAKH_KEY: &[u8] = &[0x2a, 0x83, 0x0e, 0x03, 0x0a, 0x01, 0x01, 0x02];
const KAZAKH_DIGEST: &[u8] = &[0x2a, 0x83, 0x0e, 0x03, 0x0a, 0x01, 0x03];

/// How signatures are written: r‖s little-endian under Kazakhstan's OIDs, s‖r big-endian under
/// TC26's (RFC 9215), which is the same in reverse.
#[derive(Clone, Copy, PartialEq)]
enum Writing {
    Kazakh,
    Tc26,
}

pub enum Key {
    Bits256(Point<4>),
    Bits512(Point<8>),
}

/// The key's size and way of writing, where the identifier is a GOST key's.
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
    /// The key of a SubjectPublicKeyInfo's parts; none where the identifier is not a GOST key's.
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
                let point = encoded.and_then(|encoded| Point::parse(group, writing, encoded));
                point.map(Self::Bits256)
            }
            Size::Bits512 => {
                let group = gost_curves::of_512_bits(curve).ok_or(Verdict::UnsupportedAlgorithm)?;
                let point = encoded.and_then(|encoded| Point::parse(group, writing, encoded));
                point.map(Self::Bits512)
            }
        }
        .ok_or(Verdict::MalformedKey)
    }

    /// About how many bytes it holds, with its word tables.
    pub fn weight(&self) -> usize {
        match self {
            Self::Bits256(_) => 6 << 10,
            Self::Bits512(_) => 20 << 10,
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

/// The curve's identifier and the hash's, if any.
fn split_parameters(parameters: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut names = Der(Der::only(parameters, SEQUENCE)?);
    let curve = names.object_identifier()?;
    let digest = if names.is_empty() { None } else { Some(names.object_identifier()?) };
    names.is_empty().then_some((curve, digest))
}

/// A public key: a point of the group, with tables of its multiples.
pub struct Point<const N: usize> {
    group: &'static Group<N>,
    writing: Writing,
    point: Affine<N>,
    table: Table<N>,
    uses: AtomicU32,
    word_tables: OnceLock<Option<WordTables<N>>>,
}

impl<const N: usize> Point<N> {
    fn parse(group: &'static Group<N>, writing: Writing, encoded: &[u8]) -> Option<Self> {
        let (x, y) = halves(encoded)?;
        let p = &group.curve.p;
        if !is_below(&x, &p.words) || !is_below(&y, &p.words) {
            return None;
        }
        let point = Affine { x: p.encode(&x), y: p.encode(&y) };
        if !group.curve.has(&point) {
            return None;
        }
        let table = group.curve.table(&point, KEY_WIDTH)?;
        // With cofactor 1, every point of the curve but infinity is in the group.
        if group.cofactor != 1 && group.curve.multiple(&group.order.words, &table).z != [0; N] {
            return None;
        }
        let (uses, word_tables) = (AtomicU32::new(0), OnceLock::new());
        Some(Self { group, writing, point, table, uses, word_tables })
    }

    fn verify(&self, digest: &[u8], signature: &[u8]) -> Verdict {
        let q = &self.group.order;
        let numbers = match self.writing {
            Writing::Kazakh => halves(signature),
            Writing::Tc26 => halves(&signature.iter().rev().copied().collect::<Vec<_>>()),
        };
        let in_range = |x: &Words<N>| *x != [0; N] && is_below(x, &q.words);
        let Some((r, s)) = numbers.filter(|(r, s)| in_range(r) && in_range(s)) else {
            return Verdict::MalformedSignature;
        };
        match words(digest).and_then(|digest| self.holds(&digest, &r, &s)) {
            Some(true) => Verdict::Valid,
            _ => Verdict::InvalidSignature,
        }
    }

    /// Whether x of C = e⁻¹(sP − rQ) is r modulo q.
    fn holds(&self, digest: &Words<N>, r: &Words<N>, s: &Words<N>) -> Option<bool> {
        let q = &self.group.order;
        let mut e = q.reduce(digest);
        if e == [0; N] {
            e[0] = 1;
        }
        let v = q.invert(&q.encode(&e))?;
        // An encoded factor and a plain one make a plain product, whichever the encoding.
        let u1 = q.multiply(s, &v);
        let u2 = q.negate(&q.multiply(r, &v));
        let c = self.sum(&u1, &u2);
        Some(self.has_x(&c, r))
    }

    /// Whether the point's x is r modulo q, tried without a division: x is r, r + q, r + 2q …
    fn has_x(&self, point: &Jacobian<N>, r: &Words<N>) -> bool {
        let (p, q) = (&self.group.curve.p, &self.group.order);
        let z_square = p.square(&point.z);
        let (mut x, mut is_past) = (*r, point.z == [0; N]);
        while !is_past && is_below(&x, &p.words) {
            if p.multiply(&p.encode(&x), &z_square) == point.x {
                return true;
            }
            (x, is_past) = modular::add(&x, &q.words);
        }
        false
    }

    fn sum(&self, by_base: &Words<N>, by_key: &Words<N>) -> Jacobian<N> {
        let (curve, base) = (&self.group.curve, self.group.base_tables());
        let tables = if self.uses.fetch_add(1, Ordering::Relaxed) < USES_BEFORE_TABLES {
            None
        } else {
            let make = || curve.word_tables(&self.point, WORD_WIDTH);
            self.word_tables.get_or_init(make).as_ref()
        };
        match tables {
            Some(tables) => curve.sum_by_words(by_base, base, by_key, tables),
            None => curve.sum(by_base, base, by_key, &self.table),
        }
    }
}

/// Two little-endian numbers of N words, side by side.
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
