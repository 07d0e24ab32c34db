//! The training loop.

use super::console::{Epoch, Progress};
use super::{History, Summary, curves, interrupt};
use crate::data::{DataLoader, DataLoaderOptions, Dataset};
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::nn::Module;
use crate::optim::{Adam, MinimizeOptions, Optimizer, Plateau, PlateauMode, Schedule};
use crate::session::{Function, Mode, Pending, Session};
use crate::tensor::{Tensor, Trace};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Points of the training curve in an epoch.
const POINTS: usize = 20;

/// How [`Trainer::fit`] trains.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// Passes over the training data; 3 by default.
    pub epochs: usize,
    /// Samples in a batch; 32 by default. The last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// Samples in a batch of the evaluation; by default four times `batch_size`.
    pub eval_batch_size: Option<usize>,
    /// End after this many steps, in the middle of an epoch if need be; by default when the epochs end.
    pub max_steps: Option<usize>,
    /// Seed of the order of the samples; 0 by default.
    pub seed: u64,
    /// Where `model.safetensors`, `optimizer.safetensors`, `history.json` and `curves.svg` are written after each epoch;
    /// by default nowhere. It is made where it does not exist.
    pub output_dir: Option<PathBuf>,
    /// What is shown meanwhile.
    pub progress: Progress,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            epochs: 3,
            batch_size: 32,
            eval_batch_size: None,
            max_steps: None,
            seed: 0,
            output_dir: None,
            progress: Progress::Auto,
        }
    }
}

/// What a task computes for a batch.
pub struct Outcome {
    /// The mean loss of the batch's samples, `[]`.
    pub loss: Tensor,
    /// How many samples are predicted correctly, f32 `[]`, where that means something.
    pub correct: Option<Tensor>,
}

/// Means over samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// Mean loss.
    pub loss: f64,
    /// Share of samples that are predicted correctly, 0 to 1; `None` for tasks that do not count them.
    pub accuracy: Option<f64>,
}

type Task<'a> = Arc<dyn Fn(&Trace, &[Tensor]) -> Outcome + Send + Sync + 'a>;

/// Trains a model on data sets and evaluates it.
///
/// ```no_run
/// # fn example(params: &wgrad::Params, model: impl wgrad::nn::Module, train: wgrad::data::TensorDataset,
/// #     valid: wgrad::data::TensorDataset) -> wgrad::Result<()> {
/// use wgrad::train::{TrainOptions, Trainer};
/// let mut session = wgrad::Session::new(params)?;
/// let options = TrainOptions { epochs: 5, output_dir: Some("runs/mine".into()), ..Default::default() };
/// let mut trainer = Trainer::classifier(&mut session, &model, options);
/// let history = trainer.fit(train, valid)?;
/// println!("{:?}", history.last("val_accuracy"));
/// # Ok(()) }
/// ```
pub struct Trainer<'a> {
    session: &'a mut Session,
    task: Task<'a>,
    optimizer: Arc<dyn Optimizer + Send + Sync>,
    minimize: MinimizeOptions,
    pace: Pace,
    options: TrainOptions,
    train: Option<Function<'a>>,
    eval: Option<Function<'a>>,
    history: History,
    /// Where the last good checkpoint is and when it was made.
    kept: String,
}

/// How learning rates change.
enum Pace {
    Constant,
    PerStep(Schedule),
    PerEpoch(Schedule),
    Plateau(Plateau),
}

/// Sums over batches.
#[derive(Default, Clone, Copy)]
struct Sums {
    samples: usize,
    loss: f64,
    correct: f64,
    counted: bool,
}

/// A step that was submitted.
struct InFlight {
    pending: Pending,
    samples: usize,
    step: u64,
    learning_rate: f64,
}

impl<'a> Trainer<'a> {
    /// A trainer of `task`, which traces loss and metric of a batch, with Adam at its defaults.
    pub fn new(
        session: &'a mut Session,
        task: impl Fn(&Trace, &[Tensor]) -> Outcome + Send + Sync + 'a,
        options: TrainOptions,
    ) -> Self {
        Self {
            session,
            task: Arc::new(task),
            optimizer: Arc::new(Adam::new(1e-3)),
            minimize: MinimizeOptions::default(),
            pace: Pace::Constant,
            options,
            train: None,
            eval: None,
            history: History::default(),
            kept: String::new(),
        }
    }

    /// A trainer of a classifier: batches are `x [n, ...]` and labels i32 `[n]`, `model` maps `x` to logits
    /// `[n, classes]`, the loss is cross entropy.
    pub fn classifier(
        session: &'a mut Session,
        model: &'a dyn Module,
        options: TrainOptions,
    ) -> Self {
        let task = |_: &Trace, batch: &[Tensor]| {
            let logits = model.forward(&batch[0]);
            let hits = logits.argmax(-1, false).eq(&batch[1]);
            Outcome {
                loss: logits.cross_entropy(&batch[1]),
                correct: Some(hits.to_f32().sum(&[], false)),
            }
        };
        Self::new(session, task, options)
    }

    /// This trainer with another optimizer.
    pub fn optimizer(mut self, optimizer: impl Optimizer + Send + Sync + 'static) -> Self {
        self.optimizer = Arc::new(optimizer);
        self
    }

    /// This trainer with parameter groups, penalties, clipping, accumulation, averages of the weights. Evaluation uses the
    /// averages where there are such. What an epoch has accumulated at its end makes an update.
    pub fn minimize_options(mut self, options: MinimizeOptions) -> Self {
        self.minimize = options;
        self
    }

    /// This trainer with learning rates that `schedule` gives for each update, counted from 0 where training begins
    /// anew. Each parameter group follows it from its own rate.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.pace = Pace::PerStep(schedule);
        self
    }

    /// This trainer with learning rates that `schedule` gives for each epoch.
    pub fn schedule_per_epoch(mut self, schedule: Schedule) -> Self {
        self.pace = Pace::PerEpoch(schedule);
        self
    }

    /// This trainer with learning rates that fall where a metric of the held-out data no longer gets better: the loss
    /// for [`PlateauMode::Min`], the accuracy for [`PlateauMode::Max`].
    pub fn plateau(mut self, plateau: Plateau) -> Self {
        self.pace = Pace::Plateau(plateau);
        self
    }

    /// The session.
    pub fn session(&mut self) -> &mut Session {
        self.session
    }

    /// What was measured so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The model as a table, for a batch of `train`: layers, output shapes, parameters, memory of the training step.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    pub fn summary(&mut self, train: &impl Dataset) -> Result<Summary> {
        self.loader_options().check(train.len())?;
        let batch = train.batch(&(0..self.options.batch_size).collect::<Vec<_>>(), 0)?;
        self.compile(&types_of(&batch))?;
        Ok(Summary::new(self.session, self.train.as_ref()))
    }

    fn loader_options(&self) -> DataLoaderOptions {
        DataLoaderOptions {
            batch_size: self.options.batch_size,
            shuffle: true,
            seed: self.options.seed,
            ..Default::default()
        }
    }

    fn compile(&mut self, inputs: &[TensorType]) -> Result<&mut Function<'a>> {
        let (task, optimizer) = (self.task.clone(), self.optimizer.clone());
        let options = self.minimize.clone();
        if self.train.is_none() {
            let body = move |g: &Trace, batch: &[Tensor]| {
                let outcome = task(g, batch);
                let made = g.minimize_with(&outcome.loss, optimizer.as_ref(), &options);
                let outcome = Outcome {
                    loss: match options.penalties.is_empty() {
                        true => outcome.loss,
                        false => outcome.loss.add(&made.penalty),
                    },
                    ..outcome
                };
                outcome.into_outputs()
            };
            self.train = Some(self.session.compile(Mode::Train, inputs, body)?);
        }
        self.train.as_mut().ok_or_else(missing)
    }

    /// Train on `train` and evaluate on `valid` after each epoch. The files in `output_dir` are then those of the last
    /// epoch.
    ///
    /// # Errors
    /// Options or data that do not fit; [`Error::Diverged`] where a loss becomes NaN or infinite: what was written after
    /// the last good epoch stays; [`Error::Interrupted`] after Ctrl-C, once the step is finished and the model saved.
    pub fn fit(
        &mut self,
        train: impl Dataset + 'static,
        valid: impl Dataset + 'static,
    ) -> Result<History> {
        self.check_options()?;
        let train = DataLoader::new(train, self.loader_options())?;
        let valid = self.eval_loader(valid)?;
        self.fit_loaders(&train, &valid)
    }

    fn check_options(&self) -> Result<()> {
        if self.options.epochs == 0 {
            return Err(Error::argument("a training of 0 epochs"));
        }
        match &self.pace {
            Pace::Plateau(plateau) => plateau.check(),
            _ => Ok(()),
        }
    }

    /// As [`Trainer::fit`], with batches that loaders make: of samples that a collate function pads, in the order of a
    /// sampler, on several threads. `batch_size`, `eval_batch_size` and `seed` of the options are then those of the loaders.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    pub fn fit_loaders(&mut self, train: &DataLoader, valid: &DataLoader) -> Result<History> {
        self.check_options()?;
        self.compile(&types_of(&train.first()?))?;
        if let Some(dir) = &self.options.output_dir {
            std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        }
        let guard = interrupt::Guard::new();
        let max_steps = self.options.max_steps.unwrap_or(usize::MAX);
        let mut steps = 0;
        for epoch in 0..self.options.epochs {
            let left = max_steps.saturating_sub(steps);
            if left == 0 {
                break;
            }
            steps += train.len().min(left);
            self.epoch(epoch, train, left, valid, &guard)?;
        }
        Ok(self.history.clone())
    }

    fn epoch(
        &mut self,
        epoch: usize,
        loader: &DataLoader,
        max_steps: usize,
        valid: &DataLoader,
        guard: &interrupt::Guard,
    ) -> Result<()> {
        let total = loader.len().min(max_steps);
        let start = Instant::now();
        let (mut sums, mut point) = (Sums::default(), Sums::default());
        let mut bar = Epoch::start(self.options.progress, epoch + 1, self.options.epochs, total);
        let mut in_flight: Option<InFlight> = None;
        let mut batches = loader.epoch(epoch as u64).take(total);
        for done in 0.. {
            // The next step is submitted before the last one is read.
            let batch = batches.next().filter(|_| !guard.pressed()).transpose()?;
            if batch.is_some() && done + 1 == total {
                self.session.apply_next();
            }
            let next = batch.map(|b| self.submit(&b, epoch)).transpose()?;
            let ended = next.is_none();
            let Some(last) = std::mem::replace(&mut in_flight, next) else {
                if ended {
                    break;
                }
                continue;
            };
            let of_step = self.read(last)?;
            sums.add(of_step);
            point.add(of_step);
            bar.step(done, || sums.progress(start.elapsed().as_secs_f64()));
            if done % total.div_ceil(POINTS) == 0 || done == total {
                let at = epoch as f64 + done as f64 / loader.len() as f64;
                let row = std::mem::take(&mut point).means();
                self.history
                    .push_steps(&row.rows("loss", "accuracy", &[("epoch", at)]));
            }
        }
        if guard.pressed() {
            drop(bar);
            return Err(self.interrupted());
        }
        let means = sums.means();
        let seconds = start.elapsed().as_secs_f64();
        let of_valid = self.evaluate_loader(valid)?;
        self.check(of_valid.loss as f32, self.session.learning_rate())?;
        let mut row = means.rows("loss", "accuracy", &[]);
        row.extend(of_valid.rows("val_loss", "val_accuracy", &[]));
        row.extend([
            ("epoch", (epoch + 1) as f64),
            ("epoch_time", seconds),
            ("samples_per_second", sums.samples as f64 / seconds),
            ("learning_rate", self.session.learning_rate()),
            ("step", self.session.updates() as f64),
        ]);
        self.history.push_epoch(&row);
        self.observe(&of_valid)?;
        bar.end(&format!(
            "{means}  held out: {of_valid}  {:.0} samples/s  {seconds:.1} s",
            sums.samples as f64 / seconds
        ));
        if self.save()? {
            self.kept = format!(
                "; the last good checkpoint, after epoch {}, is {}",
                epoch + 1,
                self.path("model.safetensors").display()
            );
        }
        Ok(())
    }

    /// Set the learning rates that the schedule gives for the next update.
    fn set_rates(&mut self, epoch: usize) {
        let (schedule, at) = match &self.pace {
            Pace::PerStep(schedule) => (schedule, self.session.updates()),
            Pace::PerEpoch(schedule) => (schedule, epoch as u64),
            Pace::Constant | Pace::Plateau(_) => return,
        };
        for (group, base) in self.minimize.rates(self.optimizer.as_ref()) {
            self.session
                .set_learning_rate_of(group, schedule.at(at, base));
        }
    }

    /// Reduce the learning rates where held-out data ask for it.
    fn observe(&mut self, valid: &Metrics) -> Result<()> {
        let Pace::Plateau(plateau) = &mut self.pace else {
            return Ok(());
        };
        let metric = match plateau.mode {
            PlateauMode::Min => valid.loss,
            PlateauMode::Max => valid.accuracy.ok_or_else(|| {
                Error::argument(
                    "a plateau of PlateauMode::Max watches an accuracy: the task counts none",
                )
            })?,
        };
        if plateau.observe(metric) {
            for (group, rate) in self.session.rates() {
                self.session
                    .set_learning_rate_of(group, plateau.reduced(rate));
            }
        }
        Ok(())
    }

    fn submit(&mut self, batch: &[crate::Array], epoch: usize) -> Result<InFlight> {
        self.set_rates(epoch);
        let inputs: Vec<&crate::Array> = batch.iter().collect();
        let function = self.train.as_mut().ok_or_else(missing)?;
        Ok(InFlight {
            step: self.session.updates(),
            learning_rate: self.session.learning_rate(),
            pending: self.session.submit(function, &inputs)?,
            samples: samples(batch),
        })
    }

    fn read(&mut self, step: InFlight) -> Result<Sums> {
        let values = self.session.read(step.pending)?;
        let sums = Sums::of(step.samples, &values);
        let loss = values.first().map_or(f32::NAN, crate::Array::item);
        if loss.is_finite() {
            return Ok(sums);
        }
        Err(self.diverged(step.step, loss, step.learning_rate))
    }

    fn check(&self, loss: f32, learning_rate: f64) -> Result<()> {
        if loss.is_finite() {
            return Ok(());
        }
        Err(self.diverged(self.session.updates(), loss, learning_rate))
    }

    fn diverged(&self, step: u64, loss: f32, learning_rate: f64) -> Error {
        Error::Diverged {
            step,
            learning_rate,
            loss,
            kept: self.kept.clone(),
        }
    }

    /// Means of loss and metric over `data`.
    ///
    /// # Errors
    /// Data that do not fit; the device's failures.
    pub fn evaluate(&mut self, data: impl Dataset + 'static) -> Result<Metrics> {
        let loader = self.eval_loader(data)?;
        self.evaluate_loader(&loader)
    }

    fn eval_loader(&self, data: impl Dataset + 'static) -> Result<DataLoader> {
        let wanted = self.options.eval_batch_size;
        let batch_size = wanted.unwrap_or(4 * self.options.batch_size);
        let options = DataLoaderOptions {
            batch_size: batch_size.min(data.len()),
            ..Default::default()
        };
        DataLoader::new(data, options)
    }

    /// As [`Trainer::evaluate`], with the batches of a loader.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`].
    pub fn evaluate_loader(&mut self, loader: &DataLoader) -> Result<Metrics> {
        let mut function = match self.eval.take() {
            Some(function) => function,
            None => {
                let task = self.task.clone();
                let types = types_of(&loader.first()?);
                let body = move |g: &Trace, batch: &[Tensor]| task(g, batch).into_outputs();
                let mode = match self.minimize.ema {
                    Some(_) if self.train.is_some() => Mode::EvalAverage,
                    _ => Mode::Eval,
                };
                self.session.compile(mode, &types, body)?
            }
        };
        let mut sums = Sums::default();
        let mut in_flight: Option<(usize, Pending)> = None;
        let mut batches = loader.epoch(0);
        loop {
            let next = match batches.next().transpose()? {
                Some(batch) => {
                    let inputs: Vec<&crate::Array> = batch.iter().collect();
                    let pending = self.session.submit(&mut function, &inputs)?;
                    Some((samples(&batch), pending))
                }
                None => None,
            };
            let ended = next.is_none();
            if let Some((n, pending)) = std::mem::replace(&mut in_flight, next) {
                sums.add(Sums::of(n, &self.session.read(pending)?));
            }
            if ended {
                break;
            }
        }
        self.eval = Some(function);
        Ok(sums.means())
    }

    /// Save, and say where.
    fn interrupted(&mut self) -> Error {
        let step = self.session.updates();
        match self.save() {
            Ok(true) => Error::Interrupted {
                step,
                kept: format!(
                    "the model is saved in {}",
                    self.path("model.safetensors").display()
                ),
            },
            Ok(false) => Error::Interrupted {
                step,
                kept: "nothing is saved: there is no output_dir".into(),
            },
            Err(error) => error,
        }
    }

    /// Write the files of `output_dir`, if there is one.
    fn save(&mut self) -> Result<bool> {
        if self.options.output_dir.is_none() {
            return Ok(false);
        }
        self.session.save(self.path("model.safetensors"))?;
        self.session
            .save_optimizer(self.path("optimizer.safetensors"))?;
        self.history.save(self.path("history.json"))?;
        curves::save(&self.history, &self.path("curves.svg"))?;
        Ok(true)
    }

    fn path(&self, name: &str) -> PathBuf {
        let dir = self.options.output_dir.as_deref();
        dir.unwrap_or(Path::new("")).join(name)
    }
}

impl Drop for Trainer<'_> {
    /// The session forgets the plans.
    fn drop(&mut self) {
        let functions = self.train.take().into_iter().chain(self.eval.take());
        functions.for_each(|f| self.session.forget(f));
    }
}

impl Outcome {
    fn into_outputs(self) -> Vec<Tensor> {
        std::iter::once(self.loss).chain(self.correct).collect()
    }
}

impl Sums {
    fn of(samples: usize, values: &[crate::Array]) -> Self {
        let value = |i: usize| values.get(i).map(|v| f64::from(v.item()));
        Self {
            samples,
            loss: value(0).unwrap_or(f64::NAN) * samples as f64,
            correct: value(1).unwrap_or(0.0),
            counted: value(1).is_some(),
        }
    }

    fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.loss += other.loss;
        self.correct += other.correct;
        self.counted |= other.counted;
    }

    fn means(&self) -> Metrics {
        let n = self.samples as f64;
        Metrics {
            loss: self.loss / n,
            accuracy: self.counted.then_some(self.correct / n),
        }
    }

    fn progress(&self, seconds: f64) -> String {
        let rate = self.samples as f64 / seconds;
        format!("{}  {rate:.0} samples/s", self.means())
    }
}

impl Metrics {
    fn rows(
        &self,
        loss: &'static str,
        accuracy: &'static str,
        more: &[(&'static str, f64)],
    ) -> Vec<(&'static str, f64)> {
        let mut rows = vec![(loss, self.loss)];
        rows.extend(self.accuracy.map(|a| (accuracy, a)));
        rows.extend(more);
        rows
    }
}

impl std::fmt::Display for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "loss {:.4}", self.loss)?;
        self.accuracy
            .map_or(Ok(()), |a| write!(f, "  accuracy {:.2} %", 100.0 * a))
    }
}

fn types_of(batch: &[crate::Array]) -> Vec<TensorType> {
    batch.iter().map(TensorType::of).collect()
}

fn samples(batch: &[crate::Array]) -> usize {
    batch
        .first()
        .and_then(|a| a.shape().first().copied())
        .unwrap_or(0)
}

fn missing() -> Error {
    Error::argument("the training function is not compiled")
}
