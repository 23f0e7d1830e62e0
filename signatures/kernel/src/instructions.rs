//! Which instructions the arithmetic may use: found once, at run time, and lowered by a setting.

use std::env;
use std::sync::OnceLock;

/// The setting: the highest set that may be used, for tests and for comparing; unset, whatever the
/// machine has.
pub const SETTING: &str = "QAGAZSYZ_KERNEL_INSTRUCTIONS";

/// Sets of instructions, each with all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// Plain Rust, on every machine.
    Scalar,
    /// Four lanes of 64 bits.
    Avx2,
    /// Eight lanes, with products of 52 bits, GFNI and VBMI.
    Ifma,
}

impl Instructions {
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Ifma => "ifma",
        }
    }
}

/// Returns the set that is used. Panics for a setting that names none.
pub fn instructions() -> Instructions {
    static CHOSEN: OnceLock<Instructions> = OnceLock::new();
    *CHOSEN.get_or_init(|| lowered(best(), env::var(SETTING).ok().as_deref()))
}

/// Returns whether there are eight lanes.
pub fn has_ifma() -> bool {
    instructions() >= Instructions::Ifma
}

/// Returns the lower one of what the machine has and what the setting allows.
fn lowered(best: Instructions, setting: Option<&str>) -> Instructions {
    let allowed = match setting {
        None | Some("") => return best,
        Some("scalar") => Instructions::Scalar,
        Some("avx2") => Instructions::Avx2,
        Some("ifma") => Instructions::Ifma,
        Some(_) => panic!("{SETTING} is scalar, avx2 or ifma"),
    };
    best.min(allowed)
}

#[cfg(target_arch = "x86_64")]
fn best() -> Instructions {
    let has_ifma = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("gfni");
    if has_ifma {
        Instructions::Ifma
    } else if is_x86_feature_detected!("avx2") {
        Instructions::Avx2
    } else {
        Instructions::Scalar
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn best() -> Instructions {
    Instructions::Scalar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_only_lowers() {
        use Instructions::{Avx2, Ifma, Scalar};
        for (best, setting, chosen) in [
            (Ifma, None, Ifma),
            (Ifma, Some("avx2"), Avx2),
            (Ifma, Some("scalar"), Scalar),
            (Avx2, Some("ifma"), Avx2),
            (Scalar, Some(""), Scalar),
        ] {
            assert_eq!(lowered(best, setting), chosen);
        }
    }

    #[test]
    #[should_panic(expected = "scalar, avx2 or ifma")]
    fn a_set_that_nobody_knows_is_refused() {
        lowered(Instructions::Ifma, Some("sse9"));
    }
}
