//! ECDSA signatures gathered to be verified in lanes.

use aws_lc_rs::digest::Digest;

use crate::algorithm::{Encoding, Verdict};
use crate::aws_lc::{EcdsaKey, Signed, verdict};
use crate::group::{Equation, Point};
use crate::lanes;
use crate::modular::Words;
use crate::nist::{self, Key};

/// What verifies a signature by itself.
pub struct Alone<'a> {
    pub key: &'a EcdsaKey,
    pub encoding: Encoding,
    pub digest: Digest,
    pub signature: &'a [u8],
}

impl Alone<'_> {
    fn settle(&self) -> Verdict {
        self.key.verify(self.encoding, Signed::Digest(self.digest.as_ref()), self.signature)
    }
}

/// A well-formed signature.
pub enum Claim<'a> {
    P256(PointClaim<'a, 4>),
    P384(PointClaim<'a, 6>),
    P521(PointClaim<'a, 9>),
}

pub struct PointClaim<'a, const N: usize> {
    alone: Alone<'a>,
    point: &'a Point<N>,
    /// From 1 to n − 1.
    r: Words<N>,
    s: Words<N>,
}

impl<'a> Claim<'a> {
    /// Counts a use of the key. r and s are big-endian.
    pub fn new(key: &'a Key, alone: Alone<'a>, r: &[u8], s: &[u8]) -> Self {
        match key {
            Key::P256(point) => Self::P256(PointClaim::new(point, alone, r, s)),
            Key::P384(point) => Self::P384(PointClaim::new(point, alone, r, s)),
            Key::P521(point) => Self::P521(PointClaim::new(point, alone, r, s)),
        }
    }
}

impl<'a, const N: usize> PointClaim<'a, N> {
    fn new(point: &'a Point<N>, alone: Alone<'a>, r: &[u8], s: &[u8]) -> Self {
        point.lane_tables.count();
        Self { alone, point, r: nist::words(r), s: nist::words(s) }
    }
}

/// Returns one verdict for each claim, in order.
pub fn settle(claims: &[Claim]) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::InvalidSignature; claims.len()];
    let (mut p256, mut p384, mut p521) = (Vec::new(), Vec::new(), Vec::new());
    for (place, claim) in claims.iter().enumerate() {
        match claim {
            Claim::P256(claim) => p256.push((place, claim)),
            Claim::P384(claim) => p384.push((place, claim)),
            Claim::P521(claim) => p521.push((place, claim)),
        }
    }
    settle_points(&p256, &mut verdicts);
    settle_points(&p384, &mut verdicts);
    settle_points(&p521, &mut verdicts);
    verdicts
}

/// Sets the verdicts of the claims of one curve (FIPS 186-5, section 6.4.2).
fn settle_points<'a, const N: usize>(claims: &[(usize, &'a PointClaim<'a, N>)], verdicts: &mut [Verdict]) {
    let Some((_, first)) = claims.first() else { return };
    let n = &first.point.group.order;
    let mut inverses: Vec<_> = claims.iter().map(|(_, claim)| n.encode(&claim.s)).collect();
    n.invert_all(&mut inverses).expect("s is neither 0 nor a multiple of the prime n");
    let equation = |((_, claim), inverse): (&(usize, &'a PointClaim<'a, N>), _)| {
        // An encoded factor and a plain one make a plain product.
        let digest = nist::words(claim.alone.digest.as_ref());
        let [u, v] = [&digest, &claim.r].map(|number| n.reduce(&n.multiply(number, inverse)));
        Equation { key: claim.point, u, v, r: claim.r }
    };
    let equations: Vec<_> = claims.iter().zip(&inverses).map(equation).collect();
    for ((place, claim), holds) in claims.iter().zip(lanes::hold(&equations)) {
        verdicts[*place] = holds.map_or_else(|| claim.alone.settle(), verdict);
    }
}
