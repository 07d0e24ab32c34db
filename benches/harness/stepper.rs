//! Training steps of a model on a device, timed.

use super::models::Model;
use super::ms;
use std::time::Instant;
use wgrad::device::Device;
use wgrad::optim::Adam;
use wgrad::{Array, Function, Mode, Params, Session, TensorType};

/// A model that trains on one batch.
pub struct Stepper {
    /// The session.
    pub session: Session,
    function: Function<'static>,
    data: [Array; 2],
    /// Milliseconds that the start took.
    pub start: Start,
    /// Every loss so far.
    pub losses: Vec<f32>,
}

/// Milliseconds from nothing to the first finished step.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct Start {
    /// Initial values, and state put on the device.
    pub parameters: f64,
    /// From the function to a plan that is loaded.
    pub compile: f64,
    /// The first step, loss read back.
    pub first_step: f64,
}

/// Milliseconds of one step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Until the loss is on the host.
    pub total: f64,
    /// Until the step is submitted: its encoding on a GPU, all of it on the CPU.
    pub submit: f64,
}

impl Stepper {
    /// Compile `model` for `device` and make the first step.
    pub fn new(model: &Model, device: Box<dyn Device>) -> anyhow::Result<Self> {
        let begin = Instant::now();
        let params = Params::new(0);
        let forward = model.build(&params);
        let mut session = Session::on(device, &params)?;
        let parameters = ms(begin);
        let (x, y) = model.data()?;
        let begin = Instant::now();
        let types = [TensorType::of(&x), TensorType::of(&y)];
        let function = session.compile(Mode::Train, &types, move |g, a| {
            let loss = forward(&a[0]).cross_entropy(&a[1]);
            g.minimize(&loss, &Adam::new(1e-3));
            vec![loss]
        })?;
        let compile = ms(begin);
        let mut stepper = Self {
            session,
            function,
            data: [x, y],
            start: Start::default(),
            losses: Vec::new(),
        };
        let first_step = stepper.step()?.total;
        stepper.start = Start {
            parameters,
            compile,
            first_step,
        };
        Ok(stepper)
    }

    /// One step, its loss read back.
    pub fn step(&mut self) -> anyhow::Result<Step> {
        let begin = Instant::now();
        let data = [&self.data[0], &self.data[1]];
        let pending = self.session.submit(&mut self.function, &data)?;
        let submit = ms(begin);
        let loss = self.session.read(pending)?[0].item();
        let total = ms(begin);
        self.losses.push(loss);
        Ok(Step { total, submit })
    }

    /// Whether the first two losses (before and after an update) are `reference`'s, and the losses have
    /// fallen after ten steps.
    pub fn gate(&self, reference: &[f32]) -> anyhow::Result<()> {
        for (i, (got, want)) in self.losses.iter().zip(reference).take(2).enumerate() {
            let close = (got - want).abs() <= 1e-3 * want.abs();
            anyhow::ensure!(close, "loss {i} is {got}, on the CPU {want}");
        }
        let (first, last) = (self.first_loss(), self.last_loss());
        // Adam's first steps may lead uphill.
        let falls = self.losses.len() < 10 || last < first;
        anyhow::ensure!(falls, "the loss does not fall: {first} to {last}");
        Ok(())
    }

    /// The loss before any update.
    pub fn first_loss(&self) -> f32 {
        self.losses.first().copied().unwrap_or(f32::NAN)
    }

    /// The latest loss.
    pub fn last_loss(&self) -> f32 {
        self.losses.last().copied().unwrap_or(f32::NAN)
    }
}
