//! Random numbers of orders and samples, from a seed and what they are for alone.

use crate::rng::Rng;

/// The numbers of sample `index` in epoch `epoch`.
pub(super) fn of_sample(seed: u64, epoch: u64, index: usize) -> Rng {
    Rng::new(mix(mix(mix(seed) ^ epoch) ^ index as u64), "sample")
}

/// Fisher-Yates, from numbers that depend on `seed` and `epoch` alone.
pub(super) fn shuffle(order: &mut [usize], seed: u64, epoch: u64) {
    let mut rng = SplitMix64::new(seed, epoch);
    for i in (1..order.len()).rev() {
        order.swap(i, rng.below(i as u64 + 1) as usize);
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
pub(super) struct SplitMix64(u64);

impl SplitMix64 {
    pub(super) fn new(seed: u64, epoch: u64) -> Self {
        Self(mix(mix(seed) ^ epoch))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..n`: the high word of a product, drawn again where that would favour some (Lemire, "Fast
    /// random integer generation in an interval", 2019).
    fn below(&mut self, n: u64) -> u64 {
        loop {
            let product = u128::from(self.next()) * u128::from(n);
            if product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_as_likely() {
        let mut seen = [0; 24];
        for epoch in 0..24_000 {
            let mut order = [0, 1, 2, 3];
            shuffle(&mut order, 5, epoch);
            let rank = |i: usize| order[i + 1..].iter().filter(|&&x| x < order[i]).count();
            seen[rank(0) * 6 + rank(1) * 2 + rank(2)] += 1;
        }
        // A standard deviation is 31.
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
    }

    #[test]
    fn samples_draw_apart() {
        let draw = |seed, epoch, index| of_sample(seed, epoch, index).word();
        let first = draw(1, 2, 3);
        assert_eq!(first, draw(1, 2, 3));
        for other in [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(1, 3, 2)] {
            assert_ne!(first, other);
        }
    }
}
