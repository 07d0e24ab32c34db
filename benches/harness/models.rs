//! The models of `benches/peers/README.md`: same shapes, same data, PyTorch's initial values.

use wgrad::nn::{Linear, Module};
use wgrad::{Array, Params, Tensor};

/// From the input to logits `[n, classes]`.
pub type Forward = Box<dyn Fn(&Tensor) -> Tensor + Send>;

/// A model with its batch.
#[derive(Clone, Copy)]
pub struct Model {
    /// The peers' name of it.
    pub name: &'static str,
    /// Examples in a batch.
    pub batch: usize,
    /// Classes that it tells apart.
    pub classes: usize,
    input: Input,
    build: fn(&Params) -> Forward,
}

#[derive(Clone, Copy)]
enum Input {
    /// Standard normal values of this shape an example.
    Normal(&'static [usize]),
    /// Token numbers, this many an example.
    #[expect(dead_code, reason = "for the models of text")]
    Tokens(usize),
}

/// Tokens that the models of text know.
pub const VOCABULARY: usize = 28_996;

/// All models.
pub const MODELS: &[Model] = &[Model {
    name: "mlp",
    batch: 128,
    classes: 10,
    input: Input::Normal(&[784]),
    build: mlp,
}];

impl Model {
    /// Its parameters, and the function of them.
    pub fn build(&self, params: &Params) -> Forward {
        (self.build)(params)
    }

    /// A batch: the input, and labels `[n]`.
    pub fn data(&self) -> wgrad::Result<(Array, Array)> {
        let n = self.batch;
        let x = match self.input {
            Input::Normal(shape) => {
                let shape: Vec<usize> = std::iter::once(n).chain(shape.iter().copied()).collect();
                let mut rng = wgrad::rng::Rng::new(0, "input");
                let numel: usize = shape.iter().product();
                Array::new(shape, (0..numel).map(|_| rng.normal()).collect::<Vec<_>>())?
            }
            Input::Tokens(tokens) => {
                let id = |i: usize| (i * 7919 % VOCABULARY) as i32;
                Array::new([n, tokens], (0..n * tokens).map(id).collect::<Vec<_>>())?
            }
        };
        let label = |i: usize| (i % self.classes) as i32;
        Ok((x, Array::vector((0..n).map(label).collect::<Vec<_>>())))
    }
}

fn mlp(p: &Params) -> Forward {
    let fc1 = Linear::new(784, 512).build(&p.at("fc1"));
    let fc2 = Linear::new(512, 512).build(&p.at("fc2"));
    let fc3 = Linear::new(512, 10).build(&p.at("fc3"));
    Box::new(move |x| {
        let x = fc1.forward(x).relu();
        fc3.forward(&fc2.forward(&x).relu())
    })
}
