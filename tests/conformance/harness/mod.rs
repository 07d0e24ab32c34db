//! The conformance harness: it maps each case to the calls that a user would write, and computes nothing itself.

mod attention;
mod case;
mod functions;
mod layers;
mod models;
mod report;
mod schedules;
mod single;
mod trained;

pub use report::{Folder, Report, table};

use case::Case;
use wgrad::{Tensor, Trace};

/// What a case computes from its inputs (and the parameters of a function, in the order weight, bias).
pub type Build = Box<dyn Fn(&Trace, &[Tensor]) -> Vec<Tensor> + Send + Sync>;

/// How a case ended.
pub enum Outcome {
    /// Within the bound.
    Passed,
    /// Each tensor that is not, and why.
    Failed(Vec<String>),
    /// There is no such operator.
    Missing,
}

impl From<Vec<String>> for Outcome {
    fn from(faults: Vec<String>) -> Self {
        if faults.is_empty() {
            Self::Passed
        } else {
            Self::Failed(faults)
        }
    }
}

impl From<wgrad::Error> for Outcome {
    fn from(error: wgrad::Error) -> Self {
        Self::Failed(vec![error.to_string()])
    }
}
