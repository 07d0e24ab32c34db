//! Random cases: how many, from which seed, and what to type to see one again.

use crate::common::say;
use wgrad::rng::Rng;

/// Check `many` random cases of `name`, each with a generator of its own; a case that panics is told with its seed.
///
/// `WGRAD_DRAWS` sets another number of cases and `WGRAD_SEED` the first one's seed: what failed as seed 17 is run alone with
/// `WGRAD_SEED=17 WGRAD_DRAWS=1`, a long run is `WGRAD_SEED=1000 WGRAD_DRAWS=5000`.
pub fn draws(name: &str, many: u64, mut check: impl FnMut(&mut Rng)) {
    let number = |key: &str| -> Option<u64> {
        let text = std::env::var(key).ok()?;
        Some(
            text.parse()
                .unwrap_or_else(|_| panic!("{key}={text}: expected a whole number")),
        )
    };
    let first = number("WGRAD_SEED").unwrap_or(1);
    let many = number("WGRAD_DRAWS").unwrap_or(many);
    say(&format!("{name}: {many} cases, seeds from {first}\n"));
    let mut wrong: Vec<u64> = Vec::new();
    for seed in first..first + many {
        let mut rng = Rng::new(seed, name);
        let case = std::panic::AssertUnwindSafe(|| check(&mut rng));
        if std::panic::catch_unwind(case).is_err() {
            say(&format!(
                "{name}: seed {seed} failed: WGRAD_SEED={seed} WGRAD_DRAWS=1\n"
            ));
            wrong.push(seed);
        }
    }
    assert!(
        wrong.is_empty(),
        "{name}: {} of {many} cases failed, seeds {wrong:?}",
        wrong.len()
    );
}

/// A number of `low..=high`.
pub fn between(rng: &mut Rng, low: usize, high: usize) -> usize {
    low + rng.below((high - low + 1) as u32) as usize
}

/// One of `all`.
pub fn one_of<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.below(all.len() as u32) as usize]
}

/// Whether something that happens `percent` times in a hundred does.
pub fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.below(100) < percent
}
