//! Signatures on curves gathered into lanes, and the keys' tables for them.
//!
//! A new key's table has its odd multiples only, and is forgotten. From its third use a key keeps a
//! small table, which saves most of the doublings, and a key of hundreds of uses a comb, which saves
//! all, as long as the combs of all keys fit their share of the memory for tables.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{LazyLock, OnceLock};

use crate::curve_lanes::{Constants, Item, Table, table_bytes};
use crate::entries;
use crate::group::{Equation, FEWEST_IN_LANES, Group, Point};
use crate::keys;
use crate::modular::Words;
use crate::primes::Prime;
use crate::windows::Shape;

/// From this use on a key has a small table, which takes less than one verification to make, in
/// company.
pub const USES_BEFORE_SMALL: u32 = 3;
/// From this use on a key has a comb, which takes as long to make as fifty verifications by the small
/// table.
pub const USES_BEFORE_COMB: u32 = 256;

const BASE: Shape = Shape { width: 8, classes: 1 };
const COMB: Shape = Shape { width: 5, classes: 1 };
const SMALL: Shape = Shape { width: 4, classes: 4 };
/// Window width of a new key.
const NEW_WIDTH: usize = 5;

/// How many tables of a shape are made at once: their points should stay in the cache.
const COMBS_AT_ONCE: usize = 8;
const SMALL_AT_ONCE: usize = 32;
const NEW_AT_ONCE: usize = 128;

static COMBS_BYTES: AtomicUsize = AtomicUsize::new(0);
static MOST_COMBS_BYTES: LazyLock<usize> = LazyLock::new(|| keys::tables_bytes() / 4);

type Hold<const N: usize> =
    fn(&Group<N>, &Constants<N>, &Table<N>, &[Item<N>]) -> Option<Vec<Option<bool>>>;
type Make<const N: usize> =
    fn(&Group<N>, &Constants<N>, Shape, &[[Words<N>; 2]]) -> Option<Vec<Table<N>>>;

/// A group's arithmetic in lanes.
pub struct Lanes<const N: usize> {
    limbs: usize,
    hold: Hold<N>,
    make: Make<N>,
    constants: OnceLock<Constants<N>>,
    base: OnceLock<Option<Table<N>>>,
}

impl<const N: usize> Lanes<N> {
    pub fn new<P: Prime<N, L>, const L: usize>() -> Self {
        Self {
            limbs: L,
            hold: entries::sums_hold::<P, N, L>,
            make: entries::tables::<P, N, L>,
            constants: OnceLock::new(),
            base: OnceLock::new(),
        }
    }

    fn constants(&self, group: &Group<N>) -> &Constants<N> {
        self.constants.get_or_init(|| Constants::new(group, self.limbs))
    }

    /// Makes tables of keys' points.
    fn tables(&self, shape: Shape, points: &[&Point<N>]) -> Option<Vec<Table<N>>> {
        let group = points.first()?.group;
        let points: Vec<_> = points.iter().map(|key| [key.point.x, key.point.y]).collect();
        (self.make)(group, self.constants(group), shape, &points)
    }

    fn base(&self, group: &Group<N>) -> Option<&Table<N>> {
        let point = [[group.base().x, group.base().y]];
        let make = || (self.make)(group, self.constants(group), BASE, &point)?.pop();
        self.base.get_or_init(make).as_ref()
    }
}

/// The tables of a key that comes again.
pub struct LaneTables<const N: usize> {
    uses: AtomicU32,
    small: OnceLock<Table<N>>,
    comb: OnceLock<Comb<N>>,
}

impl<const N: usize> Default for LaneTables<N> {
    fn default() -> Self {
        Self { uses: AtomicU32::new(0), small: OnceLock::new(), comb: OnceLock::new() }
    }
}

impl<const N: usize> LaneTables<N> {
    /// Counts a use.
    pub fn count(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
    }

    fn best(&self) -> Option<&Table<N>> {
        self.comb.get().map(|comb| &comb.0).or(self.small.get())
    }

    fn wants_comb(&self) -> bool {
        self.uses.load(Ordering::Relaxed) >= USES_BEFORE_COMB && self.comb.get().is_none()
    }

    fn wants_small(&self) -> bool {
        self.uses.load(Ordering::Relaxed) >= USES_BEFORE_SMALL && self.best().is_none()
    }
}

/// A comb that counts among all combs while it is kept.
struct Comb<const N: usize>(Table<N>);

/// Takes the bytes of a comb out of their share of the memory. False if they are not there.
fn reserve(bytes: usize) -> bool {
    let fits = COMBS_BYTES.fetch_add(bytes, Ordering::Relaxed) + bytes <= *MOST_COMBS_BYTES;
    if !fits {
        COMBS_BYTES.fetch_sub(bytes, Ordering::Relaxed);
    }
    fits
}

impl<const N: usize> Drop for Comb<N> {
    fn drop(&mut self) {
        COMBS_BYTES.fetch_sub(self.0.bytes(), Ordering::Relaxed);
    }
}

/// The most bytes that the small table of a key of so many words takes.
pub const fn small_bytes<const N: usize>() -> usize {
    table_bytes::<N>(SMALL, 64 * N)
}

/// Returns for each equation of one group, in order, whether it holds. None where that is not decided
/// in lanes. Where there are none, nothing is.
pub fn hold<const N: usize>(equations: &[Equation<N>]) -> Vec<Option<bool>> {
    let mut answers = vec![None; equations.len()];
    let lanes = equations.first().and_then(|equation| equation.key.group.lanes.as_ref());
    let Some(lanes) = lanes.filter(|_| equations.len() >= FEWEST_IN_LANES) else {
        return answers;
    };
    make_tables(lanes, equations);
    let (mut new, mut known): (Vec<usize>, Vec<usize>) =
        (0..equations.len()).partition(|&at| equations[at].key.lane_tables.best().is_none());
    let mut settle = |places: &[usize], tables: &[&Table<N>]| {
        let group = equations[places[0]].key.group;
        let item = |(&at, &table): (&usize, _)| {
            let Equation { u, v, r, .. } = equations[at];
            Item { table, u, v, r }
        };
        let items: Vec<_> = places.iter().zip(tables).map(item).collect();
        let held = lanes
            .base(group)
            .and_then(|base| (lanes.hold)(group, lanes.constants(group), base, &items));
        for (&at, held) in places.iter().zip(held.into_iter().flatten()) {
            answers[at] = held;
        }
    };
    let address = |at: usize| std::ptr::from_ref(equations[at].key).addr();
    let best = |at: usize| equations[at].key.lane_tables.best().expect("it is known");
    known.sort_by_key(|&at| (best(at).shape, address(at)));
    for places in known.chunk_by(|&a, &b| best(a).shape == best(b).shape) {
        if places.len() >= FEWEST_IN_LANES {
            let tables: Vec<_> = places.iter().map(|&at| best(at)).collect();
            settle(places, &tables);
        }
    }
    new.sort_by_key(|&at| address(at));
    for places in new.chunks(NEW_AT_ONCE).filter(|places| places.len() >= FEWEST_IN_LANES) {
        let keys: Vec<_> = places.chunk_by(|&a, &b| address(a) == address(b)).collect();
        let points: Vec<_> = keys.iter().map(|places| equations[places[0]].key).collect();
        let bits = lanes.constants(points[0].group).bits;
        let shape = Shape { width: NEW_WIDTH, classes: bits.div_ceil(NEW_WIDTH) };
        let Some(made) = lanes.tables(shape, &points) else { continue };
        let tables =
            keys.iter().zip(&made).flat_map(|(places, table)| places.iter().map(move |_| table));
        settle(places, &tables.collect::<Vec<_>>());
    }
    answers
}

/// Makes the tables that the equations' keys have deserved by now.
fn make_tables<const N: usize>(lanes: &Lanes<N>, equations: &[Equation<N>]) {
    let wanting = |wants: fn(&LaneTables<N>) -> bool| {
        let keys = equations.iter().map(|equation| equation.key);
        let mut keys: Vec<_> = keys.filter(|key| wants(&key.lane_tables)).collect();
        keys.sort_by_key(|key| std::ptr::from_ref(*key).addr());
        keys.dedup_by_key(|key| std::ptr::from_ref(*key).addr());
        keys
    };
    let bits = lanes.constants(equations[0].key.group).bits;
    let mut keys = wanting(LaneTables::wants_comb);
    let reserved = keys.iter().take_while(|_| reserve(table_bytes::<N>(COMB, bits))).count();
    keys.truncate(reserved);
    for keys in keys.chunks(COMBS_AT_ONCE) {
        match lanes.tables(COMB, keys) {
            Some(tables) => {
                for (key, table) in keys.iter().zip(tables) {
                    // Another thread's was first, if it fails; dropping this one gives its bytes back.
                    let _ = key.lane_tables.comb.set(Comb(table));
                }
            }
            None => {
                COMBS_BYTES.fetch_sub(keys.len() * table_bytes::<N>(COMB, bits), Ordering::Relaxed);
            }
        }
    }
    for keys in wanting(LaneTables::wants_small).chunks(SMALL_AT_ONCE) {
        for (key, table) in keys.iter().zip(lanes.tables(SMALL, keys).into_iter().flatten()) {
            let _ = key.lane_tables.small.set(table);
        }
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::instructions::has_ifma;
    use crate::testing::{Random, big, words};
    use crate::{gost_curves, nist};

    /// A point that counts as used so often.
    fn point<const N: usize>(group: &'static Group<N>, k: &BigUint, uses: u32) -> Point<N> {
        let (x, y) = group.base_times(&words(k)).unwrap();
        let point = Point::new(group, group.point(&x, &y).unwrap());
        (0..uses).for_each(|_| point.lane_tables.count());
        point
    }

    /// An equation with its answer: whether it holds, and whether a sum in it has no affine points.
    struct Asked<const N: usize> {
        key: usize,
        u: Words<N>,
        v: Words<N>,
        r: Words<N>,
        holds: bool,
    }

    /// Returns how many are not decided in lanes; those that are have to be right.
    fn refused<const N: usize>(keys: &[Point<N>], asked: &[Asked<N>]) -> usize {
        let equation = |asked: &Asked<N>| {
            let &Asked { key, u, v, r, .. } = asked;
            Equation { key: &keys[key], u, v, r }
        };
        let equations: Vec<_> = asked.iter().map(equation).collect();
        let answers = hold(&equations);
        assert_eq!(answers.len(), asked.len());
        for (at, (answer, asked)) in answers.iter().zip(asked).enumerate() {
            let shown = || format!("{at}: {:?}·G + {:?}·{}", asked.u, asked.v, asked.key);
            assert!(answer.is_none_or(|holds| holds == asked.holds), "{}", shown());
        }
        answers.iter().filter(|answer| answer.is_none()).count()
    }

    /// Uses that give a key no table, a small one, and a comb.
    const USES: [u32; 3] = [1, USES_BEFORE_SMALL, USES_BEFORE_COMB];

    fn for_each_group(check: impl Check) {
        check.of(&*nist::P256);
        check.of(&*nist::P384);
        check.of(&*nist::P521);
        for last in 1..=4 {
            check.of(gost_curves::of_256_bits(&[0x2a, 0x85, 3, 7, 1, 2, 1, 1, last]).unwrap());
        }
        for last in 1..=3 {
            check.of(gost_curves::of_512_bits(&[0x2a, 0x85, 3, 7, 1, 2, 1, 2, last]).unwrap());
        }
    }

    trait Check {
        fn of<const N: usize>(&self, group: &'static Group<N>);
    }

    /// Random sums, each with its x and with another one, in batches of every length up to 20.
    struct RandomSums;

    impl Check for RandomSums {
        fn of<const N: usize>(&self, group: &'static Group<N>) {
            let mut random = Random::new(20);
            let q = big(&group.order.words);
            for uses in USES {
                let secrets: Vec<_> =
                    (0..5).map(|_| big(&random.below(&group.order.words))).collect();
                let keys: Vec<_> = secrets.iter().map(|k| point(group, k, uses)).collect();
                for count in (FEWEST_IN_LANES..20).chain([NEW_AT_ONCE, NEW_AT_ONCE + 1]) {
                    let mut asked = |at: usize| {
                        let [u, v] = [0; 2].map(|_| random.below(&group.order.words));
                        let key = at % keys.len();
                        let sum = (big(&u) + big(&v) * &secrets[key]) % &q;
                        let (x, _) = group.base_times(&words(&sum)).unwrap();
                        let holds = at % 3 != 1;
                        let r = words(&((big(&x) + u32::from(!holds)) % &q));
                        Asked { key, u, v, r, holds }
                    };
                    let asked: Vec<_> = (0..count).map(&mut asked).collect();
                    assert!(
                        !has_ifma()
                            || refused(&keys, &asked) <= count % NEW_AT_ONCE % FEWEST_IN_LANES
                    );
                }
            }
        }
    }

    #[test]
    fn sums_are_right_on_every_curve_for_every_shape_of_table() {
        for_each_group(RandomSums);
    }

    /// Sums in which points that are added are equal, opposite or infinite, and digits at their ends.
    struct Edges;

    impl Check for Edges {
        fn of<const N: usize>(&self, group: &'static Group<N>) {
            let q = big(&group.order.words);
            let one = BigUint::from(1_u32);
            let mut scalars: Vec<_> = [1_u32, 2, 3, 15, 16, 17, 255, 256, 257]
                .into_iter()
                .flat_map(|small| [BigUint::from(small), &q - small])
                .collect();
            scalars.push(&one << (q.bits() - 1));
            scalars.push((&one << (q.bits() - 1)) - &one);
            let secrets: Vec<_> = (1_u32..=6).flat_map(|k| [BigUint::from(k), &q - k]).collect();
            for uses in USES {
                let keys: Vec<_> = secrets.iter().map(|k| point(group, k, uses)).collect();
                let mut asked = Vec::new();
                for (key, secret) in secrets.iter().enumerate() {
                    for (at, u) in scalars.iter().chain([&BigUint::ZERO]).enumerate() {
                        // Every v in unoptimized builds would take minutes.
                        for v in scalars.iter().skip(at % 3).step_by(3) {
                            let sum = (u + v * secret) % &q;
                            let x = group.base_times(&words(&sum)).map(|(x, _)| big(&x) % &q);
                            let r = x.clone().filter(|x| *x != BigUint::ZERO);
                            asked.push(Asked {
                                key,
                                u: words(u),
                                v: words(v),
                                r: words(r.as_ref().unwrap_or(&one)),
                                holds: r.is_some(),
                            });
                        }
                    }
                }
                let refused = refused(&keys, &asked);
                assert!(!has_ifma() || (refused > 0 && refused < asked.len() / 4), "{refused}");
            }
        }
    }

    #[test]
    fn keys_and_scalars_at_the_edges_are_right_or_refused_one_by_one() {
        for_each_group(Edges);
    }

    /// Combs count while they are kept, and give their bytes back.
    #[test]
    fn combs_take_their_share_of_the_memory_and_give_it_back() {
        let group: &'static Group<6> = &nist::P384;
        let bytes = table_bytes::<6>(COMB, 384);
        let before = COMBS_BYTES.load(Ordering::Relaxed);
        assert!(reserve(bytes));
        let one = group.base_times(&words(&BigUint::from(1_u32))).unwrap();
        let point = Point::new(group, group.point(&one.0, &one.1).unwrap());
        let table = group.lanes.as_ref().unwrap().tables(COMB, &[&point]);
        let Some(table) = table.and_then(|mut tables| tables.pop()) else { return };
        assert_eq!(table.bytes(), bytes);
        drop(Comb(table));
        assert!(!reserve(*MOST_COMBS_BYTES + 1));
        assert!(COMBS_BYTES.load(Ordering::Relaxed) >= before);
    }
}
