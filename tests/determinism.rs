//! The same seed gives the same bits.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod common;

use common::{LeNet, arguments, digits, hash, session};
use wgrad::Params;
use wgrad::train::{Trainer, TrainingArguments};

/// The bits of the weights after some steps of LeNet.
fn train(seed: u64) -> u64 {
    let params = Params::new(seed);
    let model = LeNet::new(&params);
    let mut session = session(&params);
    let args = TrainingArguments {
        train_batch_size: 64,
        seed,
        ..arguments(2)
    };
    let mut trainer = Trainer::classifier(&mut session, &model, args);
    trainer.fit(digits(0, 300), digits(300, 50)).unwrap();
    hash(trainer.session())
}

#[test]
fn same_seed_same_bits() {
    let first = train(4);
    assert_eq!(first, train(4));
    assert_ne!(first, train(5));
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| train(4))
    };
    let one = with(1);
    for threads in [2, 3, 5] {
        assert_eq!(with(threads), one, "{threads} threads");
    }
}
