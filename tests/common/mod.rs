//! What the training tests share: a device, LeNet, digits.
#![allow(dead_code, reason = "no test file uses all of it")]

use wgrad::data::{Dataset, ImageDataset, Subset};
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::nn::{Conv2d, Linear, Module};
use wgrad::train::{Progress, TrainingArguments};
use wgrad::{Array, Params, Session, Tensor};

/// A session on `WGRAD_DEVICE`, by default the CPU.
pub fn session(params: &Params) -> Session {
    let kind = std::env::var("WGRAD_DEVICE").map_or(DeviceKind::Cpu, |d| d.parse().unwrap());
    let options = DeviceOptions {
        kind: Some(kind),
        ..Default::default()
    };
    Session::with_options(params, &options).unwrap()
}

/// LeNet for digits of 32 x 32.
pub struct LeNet {
    convolutions: [Conv2d; 2],
    linear: [Linear; 3],
}

impl LeNet {
    pub fn new(p: &Params) -> Self {
        Self {
            convolutions: [
                Conv2d::new(1, 6, 5).build(&p.at("conv1")),
                Conv2d::new(6, 16, 3).build(&p.at("conv2")),
            ],
            linear: [
                Linear::new(16 * 6 * 6, 120).build(&p.at("fc1")),
                Linear::new(120, 84).build(&p.at("fc2")),
                Linear::new(84, 10).build(&p.at("fc3")),
            ],
        }
    }
}

impl Module for LeNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let pooled = self
            .convolutions
            .iter()
            .fold(x.clone(), |x, c| c.forward(&x).relu().max_pool2d(2));
        let x = self.linear[0].forward(&pooled.flatten(1)).relu();
        self.linear[2].forward(&self.linear[1].forward(&x).relu())
    }
}

/// `n` digits from number `start` on.
pub fn digits(start: usize, n: usize) -> Subset<ImageDataset> {
    let all = ImageDataset::mnist("examples/data/mnist", false).unwrap();
    let all = all.pad(2).normalize(&[0.1307], &[0.3081]).unwrap();
    all.subset(start..start + n).unwrap()
}

pub fn arguments(epochs: usize) -> TrainingArguments {
    TrainingArguments {
        num_train_epochs: epochs as f64,
        progress: Progress::Silent,
        ..Default::default()
    }
}

/// The bits of all states, in one number.
pub fn hash(session: &mut Session) -> u64 {
    let states = session.params().all();
    let values = session.get_all(&states).unwrap();
    let bits = values.iter().flat_map(Array::to_f32).map(f32::to_bits);
    bits.fold(0xcbf2_9ce4_8422_2325, |h, w| {
        (h ^ u64::from(w)).wrapping_mul(0x100_0000_01b3)
    })
}
