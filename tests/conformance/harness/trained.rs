//! Optimizers and whole models: some steps, the loss of each, what the parameters have become.

use super::{Case, Outcome, models};
use crate::common::Pass;
use wgrad::nn::{Linear, Module};
use wgrad::ops::reduction::Reduction;
use wgrad::optim::{Adadelta, Adagrad, Adam, Adamax, NAdam, Optimizer, RAdam, RmsProp, Sgd};
use wgrad::{Array, Mode, Params, Result, Session, TensorType};

/// Run `case` on a session of its own; also the number of dispatches.
pub fn run(pass: &Pass, case: &Case) -> (Outcome, u64) {
    let Some(optimizer) = optimizer(case) else {
        return (Outcome::Missing, 0);
    };
    let params = Params::new(0);
    let model = match case.op.as_str() {
        "training" => models::find(case.text("model").unwrap_or_default(), &params),
        _ => case.get("param.weight").map(|weight| {
            let [outputs, inputs] = weight.shape()[..] else {
                panic!("a weight {}", weight.shape())
            };
            Box::new(Linear::new(inputs, outputs).build(&params)) as Box<dyn Module>
        }),
    };
    let Some(model) = model else {
        return (Outcome::Missing, 0);
    };
    if let Some(prefix) = case.text("freeze") {
        params.at(prefix).set_trainable(false);
    }
    let Some(mut session) = pass.open(&params) else {
        return (Outcome::Failed(vec!["no device".to_owned()]), 0);
    };
    let outcome = train(&mut session, case, model.as_ref(), optimizer.as_ref());
    (
        outcome.unwrap_or_else(Outcome::from),
        session.counters().dispatches,
    )
}

fn train(
    session: &mut Session,
    case: &Case,
    model: &dyn Module,
    optimizer: &(dyn Optimizer + Sync),
) -> Result<Outcome> {
    for (name, value) in case.below("param.") {
        session.set(name, value)?;
    }
    let batch = |step: usize| -> [&Array; 2] {
        let names = match case.op.as_str() {
            "training" => [
                format!("batch.{step}.input"),
                format!("batch.{step}.target"),
            ],
            _ => ["input.0".to_owned(), "input.1".to_owned()],
        };
        names.map(|n| {
            case.get(&n)
                .unwrap_or_else(|| panic!("{}: no {n}", case.name))
        })
    };
    let clip = case.number("clip_grad_norm").map(|x| x as f32);
    let regression = case.op == "optimizer";
    let mut step = session.compile(Mode::Train, &batch(0).map(TensorType::of), |g, a| {
        let y = model.forward(&a[0]);
        let loss = match regression {
            true => y.mse_loss(&a[1], Reduction::Mean),
            false => y.cross_entropy(&a[1]),
        };
        match clip {
            Some(norm) => drop(g.minimize_clipped(&loss, optimizer, Some(norm))),
            None => g.minimize(&loss, optimizer),
        }
        vec![loss]
    })?;
    let mut losses = Vec::new();
    for s in 0..case.int("steps") as usize {
        losses.push(session.run(&mut step, &batch(s))?[0].item());
    }
    let mut faults: Vec<String> = case
        .compare("losses", &Array::vector(losses))
        .into_iter()
        .collect();
    for (name, _) in case.below("after.") {
        faults.extend(case.compare(&format!("after.{name}"), &session.get(name)?));
    }
    if case.get("eval.output").is_some() {
        let x = batch(0)[0];
        let mut f = session.compile(Mode::Eval, &[TensorType::of(x)], |_, a| {
            vec![model.forward(&a[0])]
        })?;
        let got = session.run(&mut f, &[x])?;
        faults.extend(case.compare("eval.output", &got[0]));
    }
    Ok(faults.into())
}

fn optimizer(case: &Case) -> Option<Box<dyn Optimizer + Sync>> {
    let lr = case.number("lr")?;
    match case.text("optimizer")? {
        "SGD" => Some(Box::new(Sgd {
            momentum: case.f32("momentum", 0.0),
            dampening: case.f32("dampening", 0.0),
            weight_decay: case.f32("weight_decay", 0.0),
            nesterov: case.flag("nesterov", false),
            ..Sgd::new(lr)
        })),
        name @ ("Adam" | "AdamW") => {
            let plain = if name == "Adam" {
                Adam::new(lr)
            } else {
                Adam::adamw(lr)
            };
            Some(Box::new(Adam {
                betas: case.pair("betas").unwrap_or(plain.betas),
                eps: case.f32("eps", plain.eps),
                weight_decay: case.f32("weight_decay", plain.weight_decay),
                amsgrad: case.flag("amsgrad", false),
                ..plain
            }))
        }
        "RMSprop" => {
            let plain = RmsProp::new(lr);
            Some(Box::new(RmsProp {
                alpha: case.number("alpha").unwrap_or(plain.alpha),
                eps: case.f32("eps", plain.eps),
                weight_decay: case.f32("weight_decay", plain.weight_decay),
                momentum: case.f32("momentum", plain.momentum),
                centered: case.flag("centered", false),
                ..plain
            }))
        }
        "Adagrad" => Some(Box::new(Adagrad {
            lr_decay: case.number("lr_decay").unwrap_or(0.0),
            weight_decay: case.f32("weight_decay", 0.0),
            ..Adagrad::new(lr)
        })),
        "Adadelta" => Some(Box::new(Adadelta {
            rho: case.number("rho").unwrap_or(0.9),
            ..Adadelta::new(lr)
        })),
        "Adamax" => Some(Box::new(Adamax::new(lr))),
        "NAdam" => Some(Box::new(NAdam::new(lr))),
        "RAdam" => Some(Box::new(RAdam::new(lr))),
        _ => None,
    }
}
