//! Closures as a callback.

use super::super::Logs;
use super::super::callback::{Callback, Event};
use crate::error::Result;
use std::path::Path;

type On<'a> = Option<Box<dyn FnMut(&mut Event) -> Result<()> + Send + 'a>>;
type OnPath<'a> = Option<Box<dyn FnMut(&mut Event, &Path) -> Result<()> + Send + 'a>>;
type OnLogs<'a> = Option<Box<dyn FnMut(&mut Event, &Logs) -> Result<()> + Send + 'a>>;

/// Closures for some events, as Keras's `LambdaCallback`.
///
/// ```
/// use wgrad::train::Lambda;
/// let stop = Lambda::new().on_evaluate(|event, metrics| {
///     event.control.should_training_stop |= metrics.get("eval_loss").is_some_and(|loss| loss < 0.01);
///     Ok(())
/// });
/// ```
#[derive(Default)]
pub struct Lambda<'a> {
    train_begin: On<'a>,
    train_end: On<'a>,
    epoch_begin: On<'a>,
    epoch_end: On<'a>,
    step_begin: On<'a>,
    substep_end: On<'a>,
    step_end: On<'a>,
    log: OnLogs<'a>,
    evaluate: OnLogs<'a>,
    predict: OnLogs<'a>,
    save: OnPath<'a>,
}

macro_rules! closures {
    ($($name:ident $field:ident $text:literal),* $(,)?) => {$(
        #[doc = $text]
        pub fn $name(mut self, f: impl FnMut(&mut Event) -> Result<()> + Send + 'a) -> Self {
            self.$field = Some(Box::new(f));
            self
        }
    )*};
}

impl<'a> Lambda<'a> {
    /// One that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    closures! {
        on_train_begin train_begin "When the training begins or goes on.",
        on_train_end train_end "When the training has ended.",
        on_epoch_begin epoch_begin "When a pass over the data begins.",
        on_epoch_end epoch_end "When a pass over the data has ended.",
        on_step_begin step_begin "When the next update begins.",
        on_substep_end substep_end "When a batch was submitted whose gradients are accumulated.",
        on_step_end step_end "When an update was submitted.",
    }

    /// When means were logged, with what every callback has added.
    pub fn on_log(mut self, f: impl FnMut(&mut Event, &Logs) -> Result<()> + Send + 'a) -> Self {
        self.log = Some(Box::new(f));
        self
    }

    /// When held-out data were evaluated.
    pub fn on_evaluate(
        mut self,
        f: impl FnMut(&mut Event, &Logs) -> Result<()> + Send + 'a,
    ) -> Self {
        self.evaluate = Some(Box::new(f));
        self
    }

    /// When [`Trainer::predict`](super::super::Trainer::predict) has predicted.
    pub fn on_predict(
        mut self,
        f: impl FnMut(&mut Event, &Logs) -> Result<()> + Send + 'a,
    ) -> Self {
        self.predict = Some(Box::new(f));
        self
    }

    /// When a checkpoint was written.
    pub fn on_save(mut self, f: impl FnMut(&mut Event, &Path) -> Result<()> + Send + 'a) -> Self {
        self.save = Some(Box::new(f));
        self
    }
}

fn call(f: &mut On, event: &mut Event) -> Result<()> {
    f.as_mut().map_or(Ok(()), |f| f(event))
}

impl Callback for Lambda<'_> {
    fn name(&self) -> &'static str {
        "lambda"
    }

    fn on_train_begin(&mut self, event: &mut Event) -> Result<()> {
        call(&mut self.train_begin, event)
    }

    fn on_train_end(&mut self, event: &mut Event) -> Result<()> {
        call(&mut self.train_end, event)
    }

    fn on_epoch_begin(&mut self, event: &mut Event) -> Result<()> {
        call(&mut self.epoch_begin, event)
    }

    fn on_epoch_end(&mut self, event: &mut Event) -> Result<()> {
        call(&mut self.epoch_end, event)
    }

    fn on_step_begin(&mut self, event: &mut Event) -> Result<()> {
        call(&mut self.step_begin, event)
    }

    fn on_substep_end(&mut self, event: &mut Event) -> Result<()> {
        call(&mut self.substep_end, event)
    }

    fn on_step_end(&mut self, event: &mut Event) -> Result<()> {
        call(&mut self.step_end, event)
    }

    fn on_logged(&mut self, event: &mut Event, logs: &Logs) -> Result<()> {
        self.log.as_mut().map_or(Ok(()), |f| f(event, logs))
    }

    fn on_evaluate(&mut self, event: &mut Event, metrics: &Logs) -> Result<()> {
        self.evaluate.as_mut().map_or(Ok(()), |f| f(event, metrics))
    }

    fn on_predict(&mut self, event: &mut Event, metrics: &Logs) -> Result<()> {
        self.predict.as_mut().map_or(Ok(()), |f| f(event, metrics))
    }

    fn on_save(&mut self, event: &mut Event, checkpoint: &Path) -> Result<()> {
        self.save.as_mut().map_or(Ok(()), |f| f(event, checkpoint))
    }
}
