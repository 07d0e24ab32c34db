//! Everything that can go wrong, as one enum.

use std::fmt;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// What fallible functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. Each message says what was expected, what came and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A misuse while a graph was traced: the first one, kept until `compile`.
    #[error("{0}")]
    Graph(Misuse),
    /// Trainable parameters that the loss does not depend on.
    #[error("the loss does not reach {}: freeze what is not used, use it, or say which parameters are meant (MinimizeOptions::parameters)", list(.parameters))]
    Unreached {
        /// Their paths.
        parameters: Vec<String>,
    },
    /// An argument of a call that is not part of a graph.
    #[error("{0}")]
    Argument(String),
    /// A run computed an index that is out of range: see [`DeviceOptions::check_indices`].
    ///
    /// [`DeviceOptions::check_indices`]: crate::device::DeviceOptions::check_indices
    #[error("{0}")]
    Index(Misuse),
    /// A batch that does not fit the compiled function.
    #[error("input {index}: expected {expected}, got {got}")]
    Input {
        /// Position among the inputs.
        index: usize,
        /// Type the function was traced with.
        expected: String,
        /// What came.
        got: String,
    },
    /// No such adapter, or one that lacks what the plan needs.
    #[error("{0}")]
    Adapter(String),
    /// The device was lost; what was last checkpointed is whole.
    #[error("the device was lost: {0}")]
    DeviceLost(String),
    /// The device refused an allocation, or a plan needs more than the limit.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// What a limit of the device does not allow, however much memory there is: which limit, whose, and what helps.
    #[error("{0}")]
    Limit(String),
    /// The device reported an error of its own (a bug in a kernel or in a driver).
    #[error("the device failed: {0}")]
    Device(String),
    /// `lockstep` found a step whose results differ between the two devices.
    #[error("{0}")]
    Lockstep(String),
    /// A file that could not be read or written.
    #[error("{}: {reason}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A file whose content is not what it should be.
    #[error("{}{}: {message}", .path.display(), At(.offset))]
    File {
        /// The file.
        path: PathBuf,
        /// Byte offset of the fault, where there is one.
        offset: Option<u64>,
        /// What was expected and what was found.
        message: String,
    },
    /// A file of text whose content is not what it should be.
    #[error("{} at line {line}: {message}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line of the fault, from 1.
        line: u64,
        /// What was expected and what was found.
        message: String,
    },
    /// A file of the hub that cannot be had: it is not there, or the hub is not to be reached.
    #[error("{0}")]
    Hub(String),
    /// A checkpoint that is not this model's.
    #[error("{}: not this model's parameters:{}{}{}", .path.display(),
        group("missing", .missing), group("unexpected", .unexpected), group("of another shape", .mismatched))]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Names the model has and the file lacks.
        missing: Vec<String>,
        /// Names the file has and the model lacks.
        unexpected: Vec<String>,
        /// Names with both shapes.
        mismatched: Vec<String>,
    },
    /// The loss became NaN or infinite.
    #[error(
        "the loss became {loss} at step {step} (learning rate {learning_rate:?}){kept}: {}",
        why_diverged(*step)
    )]
    Diverged {
        /// The step, from 0.
        step: u64,
        /// The learning rate of that step.
        learning_rate: f64,
        /// The loss.
        loss: f32,
        /// Where the last good checkpoint is, as a clause of the message; empty if there is none.
        kept: String,
    },
    /// Ctrl-C ended a training loop, after the step that it was in.
    #[error("interrupted after {step} steps: {kept}")]
    Interrupted {
        /// Updates so far.
        step: u64,
        /// Where the model was saved, as a clause of the message.
        kept: String,
    },
}

impl Error {
    /// An [`Error::Io`] about `path`.
    pub fn io(path: impl AsRef<Path>, reason: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_owned(),
            reason,
        }
    }

    /// An [`Error::File`] about `path` at byte `offset`.
    pub fn file(
        path: impl AsRef<Path>,
        offset: impl Into<Option<u64>>,
        message: impl Into<String>,
    ) -> Self {
        Self::File {
            path: path.as_ref().to_owned(),
            offset: offset.into(),
            message: bounded(message.into()),
        }
    }

    /// An [`Error::Line`] about line `line` of `path`, from 1.
    pub fn line(path: impl AsRef<Path>, line: u64, message: impl Into<String>) -> Self {
        Self::Line {
            path: path.as_ref().to_owned(),
            line,
            message: bounded(message.into()),
        }
    }

    /// An [`Error::Argument`].
    pub fn argument(message: impl Into<String>) -> Self {
        Self::Argument(message.into())
    }
}

/// Longest message about a file, in bytes: what is in the file may be any text.
const LONGEST: usize = 4000;

fn bounded(mut message: String) -> String {
    if message.len() > LONGEST {
        let whole = |end: &usize| message.is_char_boundary(*end);
        let end = (0..=LONGEST).rev().find(whole).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

/// What was wrong in a trace, with the layer and the source line that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misuse {
    /// Path of the layer (`encoder.layers.1.linear2`), empty outside of layers.
    pub path: String,
    /// The operator.
    pub op: String,
    /// What does not fit.
    pub message: String,
    /// Where it was called, outside of this crate.
    pub site: Site,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} {}, at {}", self.op, self.message, self.site)
    }
}

/// A source line of the user.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Site(&'static Location<'static>);

impl Site {
    /// The caller's.
    #[track_caller]
    pub fn here() -> Self {
        Self(Location::caller())
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct At<'a>(&'a Option<u64>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |offset| write!(f, " at byte {offset}"))
    }
}

fn why_diverged(step: u64) -> &'static str {
    match step {
        0 => {
            "before any update: look for NaN in the data, and for what the model takes a logarithm, a root or a quotient of"
        }
        _ => "a smaller learning rate or clipped gradients usually help",
    }
}

fn list(names: &[String]) -> String {
    names.join(", ")
}

fn group(title: &str, names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("\n  {title}: {}", list(names))
    }
}
