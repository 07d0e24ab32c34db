//! A random training: data, arguments, callbacks.

use super::callbacks::{Ask, Asker, EVENTS, Halt, Halting, What};
use crate::common::cpu;
use crate::draws::{between, chance, one_of};
use std::path::Path;
use wgrad::data::TensorDataset;
use wgrad::nn::{Dropout, Linear, Module};
use wgrad::optim::{Adam, MinimizeOptions, Plateau, PlateauMode, Schedule, Sgd, Threshold};
use wgrad::rng::Rng;
use wgrad::train::{
    CsvLogger, EarlyStopping, Ema, History, IntervalStrategy, JsonLogger, LearningRateMonitor,
    ModelCheckpoint, Outcome, Progress, Resume, SaveStrategy, SchedulerType, Trainer, TrainerState,
    TrainingArguments,
};
use wgrad::{Array, Params, Result, Session, Tensor, Trace};

/// A callback that comes with the trainer, with its options.
#[derive(Debug, Clone)]
enum Part {
    Stopping {
        patience: usize,
        start_from: usize,
        min_delta: f64,
        restore: bool,
    },
    Best,
    EachEvaluation,
    Every(u64),
    Last,
    Ema {
        decay: f64,
        swap: bool,
    },
    Csv,
    Json,
    Rates,
    Asks(Vec<Ask>),
}

/// How learning rates go, beside the arguments.
#[derive(Debug, Clone)]
enum Pace {
    Arguments,
    PerEpoch,
    Plateau { patience: u64, cooldown: u64 },
}

#[derive(Debug, Clone)]
pub struct Setup {
    seed: u64,
    samples: usize,
    dropout: f32,
    adam: bool,
    rate: f64,
    average: Option<f64>,
    groups: bool,
    pace: Pace,
    scores: bool,
    pub args: TrainingArguments,
    parts: Vec<Part>,
}

/// What a run leaves in memory.
pub struct Ran {
    pub weights: Vec<(String, Vec<u32>)>,
    pub state: TrainerState,
    pub history: History,
}

impl Setup {
    pub fn draw(rng: &mut Rng) -> Self {
        let mut args = TrainingArguments {
            train_batch_size: between(rng, 1, 6),
            num_train_epochs: between(rng, 2, 9) as f64 / 2.0,
            gradient_accumulation_steps: *one_of(rng, &[1, 1, 1, 2, 3]),
            dataloader_drop_last: chance(rng, 20),
            dataloader_num_workers: 0,
            eval_batch_size: Some(32),
            logging_steps: between(rng, 1, 5) as f64,
            logging_first_step: chance(rng, 20),
            save_steps: between(rng, 1, 6) as f64,
            progress: Progress::Silent,
            seed: u64::from(rng.below(100)),
            ..Default::default()
        };
        if chance(rng, 30) {
            args.max_steps = Some(between(rng, 2, 14) as u64);
        }
        let strategies = [
            IntervalStrategy::No,
            IntervalStrategy::Steps,
            IntervalStrategy::Epoch,
            IntervalStrategy::Epoch,
        ];
        args.logging_strategy = *one_of(rng, &strategies);
        args.eval_strategy = *one_of(rng, &strategies[..]);
        let evaluates = args.eval_strategy != IntervalStrategy::No;
        let saves = [
            SaveStrategy::No,
            SaveStrategy::Steps,
            SaveStrategy::Epoch,
            SaveStrategy::Best,
        ];
        let most = if evaluates { 4 } else { 3 };
        args.save_strategy = *one_of(rng, &saves[..most]);
        args.eval_steps = Some(between(rng, 1, 5) as f64);
        args.eval_on_start = chance(rng, 25);
        if evaluates && !args.eval_on_start && chance(rng, 15) {
            args.eval_delay = between(rng, 1, 3) as f64;
        }
        if chance(rng, 40) {
            args.save_total_limit = Some(between(rng, 1, 3));
        }
        if evaluates && chance(rng, 50) {
            args.load_best_model_at_end = true;
            args.save_strategy = match (args.eval_strategy, chance(rng, 40)) {
                (_, true) => SaveStrategy::Best,
                (IntervalStrategy::Epoch, _) => SaveStrategy::Epoch,
                _ => SaveStrategy::Steps,
            };
            let eval = args.eval_steps.unwrap_or(1.0);
            args.save_steps = eval * between(rng, 1, 2) as f64;
        }
        let scores = chance(rng, 50);
        if scores {
            args.metric_for_best_model = Some("score".into());
            args.greater_is_better = *one_of(rng, &[None, Some(true), Some(false)]);
        }
        if chance(rng, 20) {
            args.max_grad_norm = Some(0.5);
        }
        let pace = match rng.below(4) {
            0 if evaluates => Pace::Plateau {
                patience: u64::from(rng.below(2)),
                cooldown: u64::from(rng.below(2)),
            },
            1 => Pace::PerEpoch,
            _ => Pace::Arguments,
        };
        if matches!(pace, Pace::Arguments) && chance(rng, 40) {
            args.lr_scheduler_type = *one_of(rng, &[SchedulerType::Linear, SchedulerType::Cosine]);
        }
        let mut setup = Self {
            seed: u64::from(rng.word()),
            samples: between(rng, 8, 20),
            dropout: *one_of(rng, &[0.0, 0.0, 0.3]),
            adam: chance(rng, 50),
            rate: *one_of(rng, &[0.03, 0.1, 0.3]),
            average: chance(rng, 20).then_some(0.7),
            groups: chance(rng, 30),
            pace,
            scores,
            args,
            parts: Vec::new(),
        };
        setup.draw_parts(rng, evaluates);
        setup
    }

    fn draw_parts(&mut self, rng: &mut Rng, evaluates: bool) {
        let mut parts = Vec::new();
        for _ in 0..2 {
            if evaluates && chance(rng, 35) {
                parts.push(Part::Stopping {
                    patience: between(rng, 1, 4),
                    start_from: rng.below(2) as usize,
                    min_delta: *one_of(rng, &[0.0, 0.0, 0.01]),
                    restore: !self.args.load_best_model_at_end && chance(rng, 60),
                });
            }
        }
        if evaluates {
            parts.extend(chance(rng, 40).then_some(Part::Best));
            parts.extend(chance(rng, 20).then_some(Part::EachEvaluation));
        }
        let every = between(rng, 1, 4) as u64;
        parts.extend(chance(rng, 20).then_some(Part::Every(every)));
        parts.extend(chance(rng, 20).then_some(Part::Last));
        if self.average.is_none() && chance(rng, 35) {
            let (decay, swap) = (*one_of(rng, &[0.5, 0.9]), chance(rng, 60));
            parts.push(Part::Ema { decay, swap });
        }
        parts.extend(chance(rng, 60).then_some(Part::Csv));
        parts.extend(chance(rng, 60).then_some(Part::Json));
        parts.extend(chance(rng, 40).then_some(Part::Rates));
        let asks = (0..rng.below(3)).map(|_| {
            let every = between(rng, 1, 5) as u64;
            Ask {
                event: one_of::<&str>(rng, &EVENTS),
                every,
                rest: u64::from(rng.below(every as u32)),
                what: *one_of(
                    rng,
                    &[What::Log, What::Evaluate, What::Save, What::EndEpoch],
                ),
            }
        });
        let asks: Vec<Ask> = asks.collect();
        parts.extend((!asks.is_empty()).then_some(Part::Asks(asks)));
        // In any order.
        for last in (1..parts.len()).rev() {
            parts.swap(last, rng.below(last as u32 + 1) as usize);
        }
        self.parts = parts;
    }

    /// Whether a lower `max_steps` is the same training as far as it goes: it has a checkpoint of its own, with an event.
    pub fn may_be_shortened(&self) -> bool {
        self.args.lr_scheduler_type == SchedulerType::Constant && !self.asks_at_saves()
    }

    /// Whether a callback asks for something when a checkpoint is written.
    pub fn asks_at_saves(&self) -> bool {
        let asks = self.parts.iter().filter_map(|p| match p {
            Part::Asks(asks) => Some(asks),
            _ => None,
        });
        asks.flatten().any(|ask| ask.event == "save")
    }

    fn data(&self) -> TensorDataset {
        let mut rng = Rng::new(self.seed, "data");
        let n = self.samples;
        let x: Vec<f32> = (0..3 * n).map(|_| rng.normal()).collect();
        let y: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
        let arrays = vec![
            Array::new([n, 3], x).unwrap(),
            Array::new([n, 1], y).unwrap(),
        ];
        TensorDataset::new(arrays).unwrap()
    }

    fn with<'a>(&self, trainer: Trainer<'a>, part: &Part, files: &Path) -> Trainer<'a> {
        let at = |name: &str| files.join(name).to_str().unwrap().to_owned();
        let metric = if self.scores { "score" } else { "loss" };
        match part.clone() {
            Part::Stopping {
                patience,
                start_from,
                min_delta,
                restore,
            } => trainer.callback(
                EarlyStopping::new(patience)
                    .monitor(metric)
                    .start_from(start_from)
                    .min_delta(min_delta)
                    .restore_best_weights(restore),
            ),
            Part::Best => trainer.callback(
                ModelCheckpoint::new(at("best-{step}-{eval_loss:.3}.safetensors"))
                    .save_best_only(metric),
            ),
            Part::EachEvaluation => {
                trainer.callback(ModelCheckpoint::new(at("at-{step}.safetensors")))
            }
            Part::Every(n) => trainer.callback(
                ModelCheckpoint::new(at("every-{step:03}-{loss:.4}.safetensors")).every(n),
            ),
            Part::Last => trainer.callback(
                ModelCheckpoint::new(at("never-{step}.safetensors"))
                    .every(1000)
                    .save_last(at("last.safetensors")),
            ),
            Part::Ema { decay, swap } => trainer.callback(
                Ema::new(decay)
                    .swap_at_end(swap)
                    .save_to(at("ema.safetensors")),
            ),
            Part::Csv => trainer.callback(CsvLogger::new(at("log.csv"))),
            Part::Json => trainer.callback(JsonLogger::new(at("log.jsonl"))),
            Part::Rates => trainer.callback(LearningRateMonitor),
            Part::Asks(asks) => trainer.callback(Asker(asks)),
        }
    }

    /// Train, or go on with it, in a session that knows of nothing.
    pub fn run(
        &self,
        output: &Path,
        files: &Path,
        resume: Resume,
        halting: &Halting,
    ) -> Result<Ran> {
        let params = Params::new(self.seed);
        let fc = Linear::new(3, 4).build(&params.at("fc"));
        let out = Linear::new(4, 1).build(&params.at("out"));
        let dropout = Dropout::new(self.dropout).build(&params.at("dropout"));
        let task = |_: &Trace, batch: &[Tensor]| {
            let hidden = dropout.forward(&fc.forward(&batch[0]).tanh());
            let y = out.forward(&hidden);
            let loss = y.sub(&batch[1]).square().mean(&[], false);
            Outcome::new(loss)
                .predictions(y)
                .label_ids(batch[1].clone())
        };
        let mut session: Session = cpu().open(&params).unwrap();
        let mut args = TrainingArguments {
            output_dir: Some(output.to_owned()),
            resume_from_checkpoint: resume,
            ..self.args.clone()
        };
        if halting.halt == Halt::Steps {
            args.max_steps = Some(halting.at);
        }
        let mut options = MinimizeOptions {
            ema: self.average,
            ..Default::default()
        };
        if self.groups {
            options.groups = vec![wgrad::optim::ParamGroup::new("*.bias").lr(0.5 * self.rate)];
        }
        let mut trainer = Trainer::new(&mut session, task, args).minimize_options(options);
        trainer = match self.adam {
            true => trainer.optimizer(Adam::new(0.3 * self.rate)),
            false => trainer.optimizer(Sgd {
                momentum: 0.5,
                ..Sgd::new(self.rate)
            }),
        };
        trainer = match &self.pace {
            Pace::Arguments => trainer,
            Pace::PerEpoch => trainer.schedule_per_epoch(Schedule::exponential(0.7).unwrap()),
            Pace::Plateau { patience, cooldown } => {
                let mut plateau = Plateau::new(PlateauMode::Min, 0.5, *patience)?;
                plateau.cooldown = *cooldown;
                plateau.threshold = Threshold::Absolute(0.05);
                trainer.plateau(plateau)
            }
        };
        if self.scores {
            trainer = trainer.compute_metrics(|p| {
                let sum: f64 = p.predictions.to_f32().into_iter().map(f64::from).sum();
                Ok(vec![("score".to_owned(), (100.0 * sum).sin())])
            });
        }
        if halting.first {
            trainer = trainer.callback(halting.clone());
        }
        for part in &self.parts {
            trainer = self.with(trainer, part, files);
        }
        if !halting.first {
            trainer = trainer.callback(halting.clone());
        }
        let history = trainer.fit(self.data(), self.data())?;
        let state = trainer.state().clone();
        drop(trainer);
        let states = params.all();
        let values = session.get_all(&states)?;
        let named = states.iter().zip(&values);
        Ok(Ran {
            weights: named.map(|(s, a)| (s.path.to_string(), bits(a))).collect(),
            state,
            history,
        })
    }
}

fn bits(array: &Array) -> Vec<u32> {
    array.to_f32().into_iter().map(f32::to_bits).collect()
}
