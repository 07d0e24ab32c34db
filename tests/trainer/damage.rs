//! Checkpoints whose files are cut or changed: named and refused, none makes a training panic or go on from something else.

use super::{pairs, small_of, task};
use crate::common::session;
use std::path::Path;
use tempfile::TempDir;
use wgrad::optim::Adam;
use wgrad::train::{IntervalStrategy, Resume, SaveStrategy, Trainer, TrainingArguments};

fn arguments(out: &Path, resume: Resume) -> TrainingArguments {
    TrainingArguments {
        output_dir: Some(out.to_owned()),
        overwrite_output_dir: true,
        save_strategy: SaveStrategy::Steps,
        save_steps: 2.0,
        max_steps: Some(3),
        eval_strategy: IntervalStrategy::No,
        resume_from_checkpoint: resume,
        ..pairs(1)
    }
}

#[test]
fn no_damage_to_a_checkpoint_is_gone_on_from() {
    let dir = TempDir::new().unwrap();
    let small = small_of(0, 4);
    let mut s = session(&small.params);
    let mut first = Trainer::new(&mut s, task(&small.fc), arguments(dir.path(), Resume::No))
        .optimizer(Adam::new(0.01));
    first.fit(small.data.clone(), ()).unwrap();
    drop(first);
    let checkpoint = dir.path().join("checkpoint-2");
    let args = arguments(dir.path(), Resume::From(checkpoint.clone()));
    let mut trainer = Trainer::new(&mut s, task(&small.fc), args).optimizer(Adam::new(0.01));
    for name in [
        "trainer_state.json",
        "model.safetensors",
        "optimizer.safetensors",
    ] {
        let path = checkpoint.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut refused = |bytes: &[u8], what: String| {
            std::fs::write(&path, bytes).unwrap();
            let error = match trainer.fit(small.data.clone(), ()) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("{name}, {what}: it goes on"),
            };
            let start = format!("{}", path.display());
            assert!(error.starts_with(&start), "{name}, {what}: {error}");
        };
        // A cut of the line's end alone leaves the state whole.
        for at in 0..whole.len() - 1 {
            refused(&whole[..at], format!("cut at {at}"));
        }
        let mut random = 7u64;
        let mut below = |n: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((random >> 33) % n as u64) as usize
        };
        for _ in 0..400 {
            let mut damaged = whole.clone();
            let at = below(whole.len());
            damaged[at] ^= 1 + below(255) as u8;
            // Space at its end means nothing.
            if name.ends_with("json") && at + 3 >= whole.len() && whole[at] == b'\n' {
                continue;
            }
            refused(&damaged, format!("byte {at} is {}", damaged[at]));
        }
        std::fs::write(&path, &whole).unwrap();
    }
    trainer.fit(small.data.clone(), ()).unwrap();
}
