//! The trainer: a task, data, arguments.

use super::args::{IntervalStrategy, TrainingArguments};
use super::callback::{Callback, Event, TrainerControl, TrainerState};
use super::metrics::EvalPrediction;
use super::on_device::{Feed, OnDevice};
use super::task::{Layout, Outcome, classify, counted_items, note, types_of};
use super::{History, Summary, ValidationSplit};
use crate::data::{DataLoader, DataLoaderOptions, Dataset};
use crate::error::{Error, Result, Site};
use crate::graph::TensorType;
use crate::nn::Module;
use crate::optim::{Adam, MinimizeOptions, Optimizer, Plateau, Schedule};
use crate::session::{Function, Mode, Session};
use crate::tensor::{Tensor, Trace};
use std::sync::{Arc, Mutex};

type Task<'a> = Arc<dyn Fn(&Trace, &[Tensor]) -> Outcome + Send + Sync + 'a>;
type Metrics<'a> = Arc<dyn Fn(&EvalPrediction) -> Result<Vec<(String, f64)>> + Send + Sync + 'a>;

/// Trains a model on data sets, evaluates it and predicts with it, as Hugging Face's `Trainer`.
///
/// ```no_run
/// # fn example(params: &wgrad::Params, model: impl wgrad::nn::Module, train: wgrad::data::TensorDataset,
/// #     valid: wgrad::data::TensorDataset) -> wgrad::Result<()> {
/// use wgrad::train::{EarlyStopping, Trainer, TrainingArguments};
/// let mut session = wgrad::Session::new(params)?;
/// let args = TrainingArguments { num_train_epochs: 5.0, output_dir: Some("runs/mine".into()), ..Default::default() };
/// let mut trainer = Trainer::classifier(&mut session, &model, args).callback(EarlyStopping::new(2));
/// let history = trainer.fit(train, valid)?;
/// println!("{:?}", history.last("val_accuracy"));
/// # Ok(()) }
/// ```
pub struct Trainer<'a> {
    pub(super) session: &'a mut Session,
    pub(super) task: Task<'a>,
    pub(super) optimizer: Option<Arc<dyn Optimizer>>,
    pub(super) minimize: MinimizeOptions,
    pub(super) pace: Pace,
    pub(super) args: TrainingArguments,
    pub(super) compute_metrics: Option<Metrics<'a>>,
    /// Whether the task is a classifier's, with the cross entropy that arguments ask for.
    classifies: bool,
    pub(super) train: Option<Compiled<'a>>,
    /// The training function that returns the gradients too, once a callback wanted them.
    pub(super) observed: Option<Compiled<'a>>,
    /// Whether averages of the weights are kept.
    pub(super) averages: bool,
    /// Without and with predictions, then the same for data on the device.
    pub(super) eval: [Option<Compiled<'a>>; 4],
    pub(super) on_device: OnDevice,
    /// Seed of the held-out part of the training data, where there is one.
    pub(super) split_seed: Option<u64>,
    pub(super) history: History,
    pub(super) state: TrainerState,
    pub(super) control: TrainerControl,
    pub(super) callbacks: Vec<Box<dyn Callback + 'a>>,
    /// The model as a table, once a training has begun.
    pub(super) table: Option<Summary>,
    /// Names of the classes, for pictures.
    pub(super) class_names: Vec<String>,
    /// Where the last good checkpoint is and when it was made.
    pub(super) kept: String,
}

/// A function, and what it returns.
pub(super) struct Compiled<'a> {
    pub function: Function<'a>,
    pub layout: Arc<Mutex<Layout>>,
    pub feed: Feed,
}

/// How learning rates change.
pub(super) enum Pace {
    Constant,
    PerStep(Schedule),
    PerEpoch(Schedule),
    Plateau(Plateau),
}

/// What a training or an evaluation takes its batches from: a [`Dataset`]; a [`DataLoader`], which has its own batch size
/// and order; for held-out data a [`ValidationSplit`] of the training data, and `()` for none.
pub trait Source {
    /// A loader of it.
    ///
    /// # Errors
    /// Options that do not fit.
    fn loader(self, options: DataLoaderOptions) -> Result<Option<DataLoader>>;

    /// Which part of the training data it is, where it is one.
    fn split(&self) -> Option<ValidationSplit> {
        None
    }
}

impl<D: Dataset + 'static> Source for D {
    fn loader(self, options: DataLoaderOptions) -> Result<Option<DataLoader>> {
        DataLoader::new(self, options).map(Some)
    }
}

impl Source for DataLoader {
    fn loader(self, _: DataLoaderOptions) -> Result<Option<DataLoader>> {
        Ok(Some(self))
    }
}

impl Source for &DataLoader {
    fn loader(self, _: DataLoaderOptions) -> Result<Option<DataLoader>> {
        Ok(Some(self.clone()))
    }
}

impl Source for () {
    fn loader(self, _: DataLoaderOptions) -> Result<Option<DataLoader>> {
        Ok(None)
    }
}

impl<'a> Trainer<'a> {
    /// A trainer of `task`, which traces the loss of a batch, with AdamW.
    pub fn new(
        session: &'a mut Session,
        task: impl Fn(&Trace, &[Tensor]) -> Outcome + Send + Sync + 'a,
        args: TrainingArguments,
    ) -> Self {
        Self {
            session,
            task: Arc::new(task),
            optimizer: None,
            minimize: MinimizeOptions::default(),
            pace: Pace::Constant,
            args,
            compute_metrics: None,
            classifies: false,
            train: None,
            observed: None,
            averages: false,
            eval: [const { None }; 4],
            on_device: OnDevice::default(),
            split_seed: None,
            history: History::default(),
            state: TrainerState::default(),
            control: TrainerControl::default(),
            callbacks: Vec::new(),
            table: None,
            class_names: Vec::new(),
            kept: String::new(),
        }
    }

    /// A trainer of a classifier: batches are `x [n, ...]` and labels i32 `[n]`, `model` maps `x` to logits
    /// `[n, classes]`, the loss is cross entropy.
    #[track_caller]
    pub fn classifier(
        session: &'a mut Session,
        model: &'a dyn Module,
        args: TrainingArguments,
    ) -> Self {
        let site = Site::here();
        let smoothing = args.label_smoothing_factor;
        let task = move |g: &Trace, batch: &[Tensor]| {
            let root = Arc::from("");
            g.scope(&root, site, || classify(model, g, batch, smoothing, site))
        };
        let mut trainer = Self::new(session, task, args);
        trainer.classifies = true;
        trainer
    }

    /// This trainer with another optimizer, which has its own learning rate and weight decay.
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.optimizer = Some(Arc::new(optimizer));
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

    /// This trainer with learning rates that fall where a metric of evaluations no longer gets better: the loss for
    /// [`PlateauMode::Min`](crate::optim::PlateauMode::Min), the accuracy for
    /// [`PlateauMode::Max`](crate::optim::PlateauMode::Max), unless `metric_for_best_model` names another.
    pub fn plateau(mut self, plateau: Plateau) -> Self {
        self.pace = Pace::Plateau(plateau);
        self
    }

    /// This trainer with `callback`, after those that it has.
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// This trainer with metrics of all predictions of an evaluation, [`metrics::classification`](super::metrics::classification)
    /// say; the task must give predictions and labels. They are logged with `eval_` in front of their names.
    pub fn compute_metrics(
        mut self,
        metrics: impl Fn(&EvalPrediction) -> Result<Vec<(String, f64)>> + Send + Sync + 'a,
    ) -> Self {
        self.compute_metrics = Some(Arc::new(metrics));
        self
    }

    /// This trainer with names of the classes in the order of their labels, for the pictures of a classifier; by default
    /// those that the held-out data set has ([`Dataset::class_names`]), or numbers.
    pub fn class_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.class_names = names.into_iter().map(Into::into).collect();
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

    /// Where the last training was.
    pub fn state(&self) -> &TrainerState {
        &self.state
    }

    /// The model as a table, for a batch of `train`: layers, output shapes, parameters, memory of the training step.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    pub fn summary(&mut self, train: &impl Dataset) -> Result<Summary> {
        self.check()?;
        self.loader_options().check(train.len())?;
        let first = 0..self.args.train_batch_size.min(train.len());
        let batch = train.batch(&first.collect::<Vec<_>>(), 0)?;
        self.compile(&types_of(&batch), &Feed::default())?;
        Ok(Summary::new(
            self.session,
            self.train.as_ref().map(|c| &c.function),
        ))
    }

    pub(super) fn loader_options(&self) -> DataLoaderOptions {
        DataLoaderOptions {
            batch_size: self.args.train_batch_size,
            shuffle: true,
            drop_last: self.args.dataloader_drop_last,
            seed: self.args.seed,
            ..self.workers()
        }
    }

    /// Who makes batches.
    pub(super) fn workers(&self) -> DataLoaderOptions {
        let default = DataLoaderOptions::default();
        let ahead = self.args.dataloader_prefetch_factor;
        DataLoaderOptions {
            num_workers: self.args.dataloader_num_workers,
            prefetch_factor: ahead.unwrap_or(default.prefetch_factor),
            ..default
        }
    }

    pub(super) fn rule(&self) -> Arc<dyn Optimizer> {
        let adamw = || -> Arc<dyn Optimizer> {
            Arc::new(Adam {
                weight_decay: self.args.weight_decay,
                betas: (self.args.adam_beta1, self.args.adam_beta2),
                eps: self.args.adam_epsilon,
                ..Adam::adamw(self.args.learning_rate)
            })
        };
        self.optimizer.clone().unwrap_or_else(adamw)
    }

    /// What the arguments, the options and the callbacks ask of a step.
    fn step_options(&mut self) -> Result<MinimizeOptions> {
        let mut options = self.minimize.clone();
        let steps = self.args.gradient_accumulation_steps;
        if steps != 1 && options.micro_steps != 1 && steps != options.micro_steps {
            return Err(Error::argument(format!(
                "gradient_accumulation_steps {steps} and MinimizeOptions of {} micro_steps: set one of them",
                options.micro_steps
            )));
        }
        options.micro_steps = options.micro_steps.max(steps);
        if let Some(norm) = self.args.max_grad_norm {
            if options.clip_norm.is_some_and(|n| n != norm) {
                return Err(Error::argument(
                    "max_grad_norm and MinimizeOptions with clip_norm: set one of them",
                ));
            }
            options.clip_norm = Some(norm);
        }
        self.callbacks
            .iter_mut()
            .for_each(|c| c.configure(&mut options));
        Ok(options)
    }

    /// Compile the training function, unless it is.
    pub(super) fn compile(&mut self, inputs: &[TensorType], feed: &Feed) -> Result<()> {
        if feed.is_none() && self.train.as_ref().is_some_and(|c| c.feed.is_none()) {
            return Ok(());
        }
        for old in [self.train.take(), self.observed.take()] {
            old.into_iter()
                .for_each(|c| self.session.forget(c.function));
        }
        let compiled = self.compiled(inputs, feed, false)?;
        self.train = Some(self.checked(compiled)?);
        Ok(())
    }

    /// The training function, with the gradients or without.
    pub(super) fn compiled(
        &mut self,
        inputs: &[TensorType],
        feed: &Feed,
        gradients: bool,
    ) -> Result<Compiled<'a>> {
        let options = self.step_options()?;
        self.args.gradient_accumulation_steps = options.micro_steps;
        self.minimize = options.clone();
        let (task, optimizer) = (self.task.clone(), self.rule());
        let layout = Arc::<Mutex<Layout>>::default();
        self.averages = options.ema.is_some();
        let (seen, source) = (layout.clone(), feed.clone());
        let classifies = self.classifies;
        let body = move |g: &Trace, arguments: &[Tensor]| {
            let batch = source.batch(g, arguments);
            let outcome = task(g, &batch);
            let known = g.items(&outcome.loss);
            let samples = || g.scalar(batch.first().map_or(0, |x| x.size(0)) as f32);
            let items = outcome.counted.clone().or_else(|| Some(known.clone()?.0));
            let items = items.unwrap_or_else(samples);
            let rule = optimizer.as_ref();
            let made = g.minimize_counted(&outcome.loss, &items, rule, &options);
            let loss = match options.micro_steps {
                1 => outcome.loss,
                // A batch whose labels are all ignored adds nothing to an update of several.
                _ => items.ne(0.0).where_(&outcome.loss, &g.scalar(0.0)),
            };
            let mut outputs = vec![match options.penalties.is_empty() {
                true => loss,
                false => loss.add(&made.penalty),
            }];
            let items = counted_items(&outcome.counted, known).filter(|_| !classifies);
            let norm = options.clip_norm.map(|_| made.norm);
            let of = Layout {
                norm: norm.is_some(),
                correct: outcome.correct.is_some(),
                counted: outcome.counted.is_some(),
                items: items.is_some(),
                gradients: if gradients { made.gradients.len() } else { 0 },
                ..Default::default()
            };
            note(&seen, of);
            let numbers = norm.into_iter().chain(outcome.correct);
            outputs.extend(numbers.chain(outcome.counted).chain(items));
            let found = made.gradients.into_iter().map(|(_, gradient)| gradient);
            outputs.extend(found.take(of.gradients));
            outputs
        };
        let function = self.session.compile(Mode::Train, inputs, body)?;
        Ok(Compiled {
            function,
            layout,
            feed: feed.clone(),
        })
    }

    /// Compile the evaluation of a batch, with its predictions or without, unless it is.
    pub(super) fn compile_eval(
        &mut self,
        inputs: &[TensorType],
        predicts: bool,
        feed: &Feed,
    ) -> Result<Compiled<'a>> {
        if let Some(compiled) = self.eval[feed.slot(predicts)].take() {
            return Ok(compiled);
        }
        let (task, penalties) = (self.task.clone(), self.minimize.penalties.clone());
        let parameters = self.minimize.parameters.clone();
        let classifies = self.classifies;
        let layout = Arc::<Mutex<Layout>>::default();
        let (seen, source) = (layout.clone(), feed.clone());
        let body = move |g: &Trace, arguments: &[Tensor]| {
            let outcome = task(g, &source.batch(g, arguments));
            let items = counted_items(&outcome.counted, g.items(&outcome.loss));
            let items = items.filter(|_| !classifies);
            let loss = match penalties.is_empty() {
                true => outcome.loss,
                false => outcome.loss.add(&g.penalty_over(&parameters, &penalties)),
            };
            let predictions = outcome.predictions.filter(|_| predicts);
            let labels = outcome.label_ids.filter(|_| predicts);
            let of = Layout {
                norm: false,
                correct: outcome.correct.is_some(),
                counted: outcome.counted.is_some(),
                items: items.is_some(),
                predictions: predictions.is_some(),
                label_ids: labels.is_some(),
                gradients: 0,
            };
            note(&seen, of);
            let numbers = outcome.correct.into_iter().chain(outcome.counted);
            let numbers = numbers.chain(items);
            let arrays = predictions.into_iter().chain(labels);
            std::iter::once(loss).chain(numbers).chain(arrays).collect()
        };
        let mode = match self.averages {
            true => Mode::EvalAverage,
            false => Mode::Eval,
        };
        let function = self.session.compile(mode, inputs, body)?;
        self.checked(Compiled {
            function,
            layout,
            feed: feed.clone(),
        })
    }

    /// A function whose data are what it takes, or forgotten.
    fn checked(&mut self, compiled: Compiled<'a>) -> Result<Compiled<'a>> {
        match compiled.feed.check(&compiled.function) {
            Ok(()) => Ok(compiled),
            Err(error) => {
                self.session.forget(compiled.function);
                Err(error)
            }
        }
    }

    /// Have every callback take note of an event.
    pub(super) fn emit(
        &mut self,
        mut of: impl FnMut(&mut dyn Callback, &mut Event) -> Result<()>,
    ) -> Result<()> {
        let mut callbacks = std::mem::take(&mut self.callbacks);
        let result = callbacks.iter_mut().try_for_each(|callback| {
            let mut event = Event {
                args: &self.args,
                state: &self.state,
                control: &mut self.control,
                summary: self.table.as_ref(),
                averages: self.averages,
                session: self.session,
            };
            of(callback.as_mut(), &mut event)
        });
        self.callbacks = callbacks;
        result
    }

    /// Check what does not depend on data.
    pub(super) fn check(&self) -> Result<()> {
        self.args.check()?;
        let smoothing = self.args.label_smoothing_factor;
        if smoothing != 0.0 && !self.classifies {
            return Err(Error::argument(format!(
                "label_smoothing_factor {smoothing} is for Trainer::classifier: this task has its own loss"
            )));
        }
        if let Some(optimizer) = &self.optimizer {
            self.args.check_optimizer(optimizer.learning_rate())?;
        }
        self.args.check_rate(self.rule().learning_rate())?;
        match &self.pace {
            Pace::Plateau(plateau) => {
                plateau.check()?;
                if self.args.eval_strategy == IntervalStrategy::No {
                    return Err(Error::argument(format!(
                        "the plateau looks at {} of evaluations: eval_strategy is No",
                        self.plateau_metric()
                    )));
                }
            }
            Pace::PerStep(_) | Pace::PerEpoch(_) => {}
            Pace::Constant => return self.check_callbacks(),
        }
        let constant = TrainingArguments {
            lr_scheduler_type: super::SchedulerType::Constant,
            warmup_steps: 0.0,
            ..self.args.clone()
        };
        if constant != self.args {
            return Err(Error::argument(
                "lr_scheduler_type or warmup_steps, and a schedule or plateau: set one of them",
            ));
        }
        self.check_callbacks()
    }

    fn check_callbacks(&self) -> Result<()> {
        self.callbacks.iter().try_for_each(|c| c.check(&self.args))
    }
}

impl Drop for Trainer<'_> {
    /// The session forgets the plans.
    fn drop(&mut self) {
        let training = [&mut self.train, &mut self.observed];
        for compiled in self.eval.iter_mut().chain(training) {
            let taken = compiled.take().into_iter();
            taken.for_each(|c| self.session.forget(c.function));
        }
    }
}
