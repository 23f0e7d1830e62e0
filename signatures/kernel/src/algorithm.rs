//! The contract's numbers for algorithms and verdicts (signatures.proto), and what they stand for.

/// The result of verifying one item, numbered as in the contract.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
pub enum Verdict {
    Valid = 1,
    InvalidSignature = 2,
    MalformedSignature = 3,
    MalformedKey = 4,
    KeyMismatch = 5,
    UnsupportedAlgorithm = 6,
    UnknownSigner = 7,
    MalformedDigest = 9,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Curve {
    P256,
    P384,
    P521,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encoding {
    Der,
    P1363,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Padding {
    Pkcs1,
    Pss,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
    Streebog256,
    Streebog512,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

/// The size of a GOST R 34.10-2012 key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    Bits256,
    Bits512,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    Ed25519,
    Ecdsa(Curve, Encoding),
    Rsa(Padding, Hash),
    MlDsa(Level),
    Gost(Size),
}

impl Algorithm {
    /// Returns the algorithm with this number. None if the contract has no such number.
    pub fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Ed25519,
            2 => Self::Ecdsa(Curve::P256, Encoding::Der),
            3 => Self::Ecdsa(Curve::P384, Encoding::Der),
            4 => Self::Ecdsa(Curve::P521, Encoding::Der),
            5 => Self::Ecdsa(Curve::P256, Encoding::P1363),
            6 => Self::Ecdsa(Curve::P384, Encoding::P1363),
            7 => Self::Ecdsa(Curve::P521, Encoding::P1363),
            8 => Self::Rsa(Padding::Pkcs1, Hash::Sha256),
            9 => Self::Rsa(Padding::Pkcs1, Hash::Sha384),
            10 => Self::Rsa(Padding::Pkcs1, Hash::Sha512),
            11 => Self::Rsa(Padding::Pss, Hash::Sha256),
            12 => Self::Rsa(Padding::Pss, Hash::Sha384),
            13 => Self::Rsa(Padding::Pss, Hash::Sha512),
            14 => Self::Gost(Size::Bits256),
            15 => Self::Gost(Size::Bits512),
            16 => Self::MlDsa(Level::MlDsa44),
            17 => Self::MlDsa(Level::MlDsa65),
            18 => Self::MlDsa(Level::MlDsa87),
            _ => return None,
        })
    }

    /// Returns the hash whose digest a caller may send in place of the message. None for algorithms
    /// that sign the message itself.
    pub fn hash(self) -> Option<Hash> {
        match self {
            Self::Ed25519 | Self::MlDsa(_) => None,
            Self::Ecdsa(curve, _) => Some(curve.hash()),
            Self::Rsa(_, hash) => Some(hash),
            Self::Gost(Size::Bits256) => Some(Hash::Streebog256),
            Self::Gost(Size::Bits512) => Some(Hash::Streebog512),
        }
    }
}

impl Curve {
    pub fn hash(self) -> Hash {
        match self {
            Self::P256 => Hash::Sha256,
            Self::P384 => Hash::Sha384,
            Self::P521 => Hash::Sha512,
        }
    }
}

impl Hash {
    pub fn size(self) -> usize {
        match self {
            Self::Sha256 | Self::Streebog256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 | Self::Streebog512 => 64,
        }
    }
}
