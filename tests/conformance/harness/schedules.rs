//! Learning rates over time.

use super::{Case, Outcome};
use wgrad::Result;
use wgrad::optim::{Plateau, PlateauMode, Schedule, Threshold};

/// Compare the learning rates that `case` lists, in f64.
pub fn run(case: &Case) -> Outcome {
    rates(case).map_or_else(Outcome::from, |rates| match rates {
        None => Outcome::Missing,
        Some(rates) => compare(&rates, &case.lrs).into(),
    })
}

fn compare(got: &[f64], want: &[f64]) -> Vec<String> {
    if got.len() != want.len() {
        return vec![format!("{} rates, want {}", got.len(), want.len())];
    }
    let far = |(k, (g, w)): (usize, (&f64, &f64))| {
        ((g - w).abs() > 1e-12 + 1e-9 * w.abs()).then(|| format!("step {k}: got {g}, want {w}"))
    };
    got.iter()
        .zip(want)
        .enumerate()
        .filter_map(far)
        .take(1)
        .collect()
}

fn rates(case: &Case) -> Result<Option<Vec<f64>>> {
    let number = |key| case.number(key).unwrap_or(f64::NAN);
    let steps = |key| case.int(key) as u64;
    let base = number("lr");
    let schedule = match case.text("scheduler").unwrap_or_default() {
        "step" => Schedule::step(steps("step_size"), number("gamma"))?,
        "multi_step" => {
            let milestones = case.ints("milestones").into_iter().map(|m| m as u64);
            Schedule::multi_step(milestones.collect::<Vec<_>>(), number("gamma"))?
        }
        "exponential" => Schedule::exponential(number("gamma"))?,
        "cosine" => Schedule::cosine(steps("t_max"), number("eta_min"))?,
        "cosine_restarts" => {
            Schedule::cosine_restarts(steps("t_0"), steps("t_mult"), number("eta_min"))?
        }
        "linear" => {
            let (from, to) = (number("start_factor"), number("end_factor"));
            Schedule::linear(from, to, steps("total_iters"))?
        }
        "one_cycle" => Schedule::one_cycle(number("max_lr"), steps("total_steps"))?,
        "polynomial" => Schedule::polynomial(steps("total_iters"), number("power"))?,
        "warmup_cosine" => {
            Schedule::cosine_with_warmup(steps("warmup_steps"), steps("total_steps"))?
        }
        "warmup_linear" => {
            Schedule::linear_with_warmup(steps("warmup_steps"), steps("total_steps"))?
        }
        "plateau" => return plateau(case, base).map(Some),
        _ => return Ok(None),
    };
    let steps = 0..case.lrs.len() as u64;
    Ok(Some(steps.map(|step| schedule.at(step, base)).collect()))
}

fn plateau(case: &Case, base: f64) -> Result<Vec<f64>> {
    let number = |key| case.number(key).unwrap_or(f64::NAN);
    let mode = match case.text("mode") {
        Some("max") => PlateauMode::Max,
        _ => PlateauMode::Min,
    };
    let threshold = match case.text("threshold_mode") {
        Some("abs") => Threshold::Absolute(number("threshold")),
        _ => Threshold::Relative(number("threshold")),
    };
    let mut plateau = Plateau::new(mode, number("factor"), case.int("patience") as u64)?;
    plateau.threshold = threshold;
    plateau.cooldown = case.int("cooldown") as u64;
    plateau.min_lr = number("min_lr");
    let next = |lr: &mut f64, metric: f64| {
        let now = *lr;
        *lr = plateau.step(metric, now);
        Some(now)
    };
    Ok(case
        .numbers("metrics")
        .into_iter()
        .scan(base, next)
        .collect())
}
