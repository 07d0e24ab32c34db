//! Schedules: what PyTorch 2 gives beside the conformance cases, and arguments that no schedule has.

use wgrad::optim::{OneCycle, Plateau, PlateauMode, Schedule, Threshold};

fn rates(schedule: &Schedule, n: u64) -> Vec<f64> {
    (0..n).map(|step| schedule.at(step, 0.1)).collect()
}

#[track_caller]
fn near(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (k, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 1e-8, "step {k}: got {g}, want {w}");
    }
}

/// What the formulas of Hugging Face's `optimization.py` give for a base of 0.1, 2 steps of warm-up and 10 steps in all.
#[test]
fn as_hugging_face() {
    let steps = |schedule: wgrad::Result<Schedule>| rates(&schedule.unwrap(), 12);
    let half = [0.1, 0.0853553391, 0.05, 0.0146446609];
    let want = [&[0.0, 0.05], &half[..], &half, &[0.0, 0.0]].concat();
    near(&steps(Schedule::cosine_with_restarts(2, 10, 2)), &want);
    let want = [
        0.0,
        0.05,
        0.1,
        0.096574579,
        0.0868198052,
        0.0722207545,
        0.055,
        0.0377792455,
        0.0231801948,
        0.013425421,
        0.01,
        0.01, // Hugging Face's rises again
    ];
    near(&steps(Schedule::cosine_with_min_lr(2, 10, 0.1)), &want);
    let want = [
        0.0, 0.05, 0.1, 0.07890625, 0.060625, 0.04515625, 0.0325, 0.02265625, 0.015625, 0.01140625,
        0.01, 0.01,
    ];
    near(
        &steps(Schedule::polynomial_with_warmup(2, 10, 2.0, 0.01)),
        &want,
    );
    let want = [
        0.0,
        0.05,
        0.1,
        0.0816496581,
        0.0707106781,
        0.0632455532,
        0.0577350269,
        0.0534522484,
        0.05,
        0.0471404521,
        0.0447213595,
        0.0426401433,
    ];
    near(&steps(Ok(Schedule::inverse_sqrt(2))), &want);
    let without = Schedule::inverse_sqrt(0);
    let some = [0, 1, 10_000, 30_000].map(|step| without.at(step, 0.1));
    near(&some, &[0.1, 0.0999950004, 0.0707106781, 0.05]);
    let want = [
        0.01,
        0.055,
        0.1,
        0.1,
        0.1,
        0.1,
        0.1,
        0.0868198052,
        0.055,
        0.0231801948,
        0.01,
        0.01,
    ];
    near(&steps(Schedule::warmup_stable_decay(2, 4, 10, 0.1)), &want);
}

#[test]
fn as_pytorch() {
    let three = OneCycle {
        three_phase: true,
        pct_start: 0.4,
        ..OneCycle::new(0.5, 12)
    };
    let want = [
        0.02,
        0.0974524228,
        0.279819043,
        0.449393722,
        0.496726713,
        0.391267558,
        0.201083483,
        0.0489262997,
        0.0193247898,
        0.0127373562,
        0.00397525627,
        2e-06,
    ];
    near(&rates(&three.schedule().unwrap(), 12), &want);
    let lines = OneCycle {
        linear: true,
        ..OneCycle::new(0.5, 12)
    };
    let lines = rates(&lines.schedule().unwrap(), 14);
    near(&lines[..4], &[0.02, 0.204615385, 0.389230769, 0.476190571]);
    near(&lines[11..], &[2e-6, 2e-6, 2e-6]); // PyTorch refuses steps past the last
    let constant = Schedule::constant_factor(0.25, 3).unwrap();
    near(&rates(&constant, 5), &[0.025, 0.025, 0.025, 0.1, 0.1]);
    let parts = vec![
        Schedule::constant_factor(0.1, 10).unwrap(),
        Schedule::exponential(0.5).unwrap(),
    ];
    let sequence = Schedule::sequence(parts, vec![3]).unwrap();
    let want = [0.01, 0.01, 0.01, 0.1, 0.05, 0.025, 0.0125];
    near(&rates(&sequence, 7), &want);
    let restarts = Schedule::cosine_restarts(3, 1, 0.0).unwrap();
    let want = [0.1, 0.075, 0.025, 0.1, 0.075, 0.025, 0.1, 0.075];
    near(&rates(&restarts, 8), &want);
    let cosine = Schedule::cosine(4, 0.01).unwrap();
    let half = [0.1, 0.0868198052, 0.055, 0.0231801948];
    let want = [half[0], half[1], half[2], half[3], 0.01, half[3], half[2]];
    near(&rates(&cosine, 7), &want);
    near(&rates(&Schedule::constant(), 2), &[0.1, 0.1]);
    let own = Schedule::lambda(|step| 1.0 / (step + 1) as f64);
    near(&rates(&own, 3), &[0.1, 0.05, 0.1 / 3.0]);
    let warm = Schedule::step(2, 0.5).unwrap().warmup(2).unwrap();
    near(&rates(&warm, 7), &[0.0, 0.05, 0.1, 0.1, 0.05, 0.05, 0.025]);
    let warm = Schedule::constant_with_warmup(2).unwrap();
    near(&rates(&warm, 4), &[0.0, 0.05, 0.1, 0.1]);
    let line = Schedule::linear_with_warmup(0, 2).unwrap();
    near(&rates(&line, 4), &[0.1, 0.05, 0.0, 0.0]);
}

#[test]
fn a_plateau_of_a_growing_metric() {
    let mut plateau = Plateau::new(PlateauMode::Max, 0.5, 1).unwrap();
    plateau.threshold = Threshold::Absolute(0.1);
    plateau.min_lr = 0.2;
    let metrics = [
        0.5,
        0.55,
        0.7,
        0.71,
        0.72,
        f64::NAN,
        0.73,
        0.74,
        0.9,
        0.5,
        0.5,
        0.5,
        0.5,
    ];
    let mut lr = 1.0;
    let mut rates = Vec::new();
    for metric in metrics {
        rates.push(lr);
        lr = plateau.step(metric, lr);
    }
    let want = [
        1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.2, 0.2,
    ];
    near(&rates, &want);
}

#[test]
fn arguments() {
    let rows = [
        (Schedule::step(0, 0.1), "step: step_size 0: takes 1 or more"),
        (Schedule::step(1, -0.1), "step: gamma -0.1: takes 0 or more"),
        (
            Schedule::multi_step(vec![], 0.1),
            "multi_step: no milestones: takes 1 or more",
        ),
        (
            Schedule::exponential(f64::NAN),
            "exponential: gamma NaN: takes 0 or more",
        ),
        (Schedule::cosine(0, 0.0), "cosine: t_max 0: takes 1 or more"),
        (
            Schedule::cosine_restarts(3, 0, 0.0),
            "cosine_restarts: t_mult 0: takes 1 or more",
        ),
        (
            Schedule::linear(1.5, 1.0, 3),
            "linear: start_factor 1.5: takes one from 0 to 1",
        ),
        (
            Schedule::polynomial(0, 1.0),
            "polynomial: total_iters 0: takes 1 or more",
        ),
        (
            Schedule::one_cycle(0.1, 0),
            "one_cycle: total_steps 0: takes 1 or more",
        ),
        (
            OneCycle {
                div_factor: 0.0,
                ..OneCycle::new(0.1, 3)
            }
            .schedule(),
            "one_cycle: div_factor 0: takes one above 0",
        ),
        (
            Schedule::linear_with_warmup(5, 5),
            "linear_with_warmup: 5 steps of which 5 warm up",
        ),
        (
            Schedule::cosine_with_restarts(1, 9, 0),
            "cosine_with_restarts: num_cycles 0: takes 1 or more",
        ),
        (
            Schedule::cosine_with_min_lr(1, 9, 1.5),
            "cosine_with_min_lr: min_lr_rate 1.5: takes one from 0 to 1",
        ),
        (
            Schedule::polynomial_with_warmup(1, 9, -1.0, 0.0),
            "polynomial_with_warmup: power -1: takes 0 or more",
        ),
        (
            Schedule::warmup_stable_decay(4, 6, 9, 0.0),
            "warmup_stable_decay: 9 steps of which 4 warm up and 6 decay: takes at least as many",
        ),
        (
            Schedule::constant().warmup(0),
            "warmup: steps 0: takes 1 or more",
        ),
        (
            Schedule::sequence(vec![Schedule::constant()], vec![3]),
            "sequence: 1 schedules and 1 milestones: takes one milestone less",
        ),
        (
            Schedule::sequence(vec![Schedule::constant(); 3], vec![3, 2]),
            "sequence: milestones [3, 2]: they must ascend",
        ),
    ];
    for (schedule, part) in rows {
        let message = schedule.unwrap_err().to_string();
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
    let message = Plateau::new(PlateauMode::Min, 1.0, 1)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("factor 1: takes one from 0 to 1, excluded"),
        "{message}"
    );
}
