//! Callbacks of random trainings: one that asks for things, one that ends a run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wgrad::train::{Callback, Event, Logs};
use wgrad::{Error, Result};

/// What the error of a crash says.
pub const CRASH: &str = "the process is gone";

/// How a run ends before its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Halt {
    /// Never.
    None,
    /// An error, as good as a process that is gone: everything is dropped.
    Crash,
    /// A callback asks for the end.
    Stop,
    /// `max_steps` is lower.
    Steps,
}

/// An end at event `at`, counted from 1 where a run begins or goes on.
#[derive(Debug, Clone)]
pub struct Halting {
    pub halt: Halt,
    pub at: u64,
    /// Whether it takes part before the other callbacks.
    pub first: bool,
    /// Whether it passes over saves: what others ask for then is lost where the process is gone before they are told.
    pub spares_saves: bool,
    /// Events so far.
    pub seen: Arc<AtomicU64>,
}

/// What is asked for at an event, at some steps.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    pub event: &'static str,
    pub every: u64,
    pub rest: u64,
    pub what: What,
}

#[derive(Debug, Clone, Copy)]
pub enum What {
    Log,
    Evaluate,
    Save,
    EndEpoch,
}

/// The events at which something is asked for.
pub const EVENTS: [&str; 8] = [
    "epoch_begin",
    "epoch_end",
    "step_begin",
    "substep_end",
    "step_end",
    "log",
    "evaluate",
    "save",
];

/// Asks for logs, evaluations, checkpoints and ends of epochs.
pub struct Asker(pub Vec<Ask>);

impl Asker {
    fn at(&self, event: &mut Event, name: &str) -> Result<()> {
        let step = event.state.global_step;
        let of = |a: &&Ask| a.event == name && step % a.every == a.rest;
        for ask in self.0.iter().filter(of) {
            match ask.what {
                What::Log => event.control.should_log = true,
                What::Evaluate => event.control.should_evaluate = true,
                What::Save => event.control.should_save = true,
                What::EndEpoch => event.control.should_epoch_stop = true,
            }
        }
        Ok(())
    }
}

impl Halting {
    fn at(&self, event: &mut Event, name: &str) -> Result<()> {
        if self.spares_saves && name == "save" {
            return Ok(());
        }
        if self.seen.fetch_add(1, Ordering::SeqCst) + 1 != self.at {
            return Ok(());
        }
        match self.halt {
            Halt::Crash => return Err(Error::Argument(CRASH.into())),
            Halt::Stop => event.control.should_training_stop = true,
            Halt::None | Halt::Steps => {}
        }
        Ok(())
    }
}

/// A callback whose events are all `at`.
macro_rules! at_each_event {
    ($of:ty, $name:literal) => {
        impl Callback for $of {
            fn name(&self) -> &'static str {
                $name
            }
            fn on_epoch_begin(&mut self, e: &mut Event) -> Result<()> {
                self.at(e, "epoch_begin")
            }
            fn on_epoch_end(&mut self, e: &mut Event) -> Result<()> {
                self.at(e, "epoch_end")
            }
            fn on_step_begin(&mut self, e: &mut Event) -> Result<()> {
                self.at(e, "step_begin")
            }
            fn on_substep_end(&mut self, e: &mut Event) -> Result<()> {
                self.at(e, "substep_end")
            }
            fn on_step_end(&mut self, e: &mut Event) -> Result<()> {
                self.at(e, "step_end")
            }
            fn on_loss(&mut self, e: &mut Event, _: u64, _: f64) -> Result<()> {
                self.at(e, "loss")
            }
            fn on_log(&mut self, e: &mut Event, _: &mut Logs) -> Result<()> {
                self.at(e, "log")
            }
            fn on_evaluate(&mut self, e: &mut Event, _: &Logs) -> Result<()> {
                self.at(e, "evaluate")
            }
            fn on_save(&mut self, e: &mut Event, _: &Path) -> Result<()> {
                self.at(e, "save")
            }
            fn on_train_begin(&mut self, e: &mut Event) -> Result<()> {
                self.at(e, "train_begin")
            }
            fn on_train_end(&mut self, e: &mut Event) -> Result<()> {
                self.at(e, "train_end")
            }
        }
    };
}

at_each_event!(Asker, "asker");
at_each_event!(Halting, "halting");
