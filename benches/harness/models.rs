//! The models of `benches/peers/README.md`: same shapes, same data, PyTorch's initial values.

use wgrad::nn::{
    Conv1d, Conv2d, Embedding, Gru, LearnedPositions, Linear, Lstm, Module, RecurrentBuilder,
    RecurrentKind, Rnn, TransformerEncoder, TransformerEncoderLayer,
};
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
    Tokens(usize),
}

/// Tokens that the models of text know.
pub const VOCABULARY: usize = 28_996;

/// All models.
pub const MODELS: &[Model] = &[
    Model {
        name: "mlp",
        batch: 128,
        classes: 10,
        input: Input::Normal(&[784]),
        build: mlp,
    },
    Model {
        name: "lenet",
        batch: 64,
        classes: 10,
        input: Input::Normal(&[1, 32, 32]),
        build: lenet,
    },
    Model {
        name: "cifar",
        batch: 64,
        classes: 10,
        input: Input::Normal(&[3, 32, 32]),
        build: cifar,
    },
    Model {
        name: "textcnn8",
        batch: 8,
        classes: 2,
        input: Input::Tokens(128),
        build: textcnn,
    },
    Model {
        name: "textcnn64",
        batch: 64,
        classes: 2,
        input: Input::Tokens(128),
        build: textcnn,
    },
    Model {
        name: "encoder",
        batch: 16,
        classes: 2,
        input: Input::Tokens(128),
        build: encoder,
    },
    Model {
        name: "textrnn8",
        batch: 8,
        classes: 2,
        input: Input::Tokens(128),
        build: textrnn,
    },
    Model {
        name: "textrnn64",
        batch: 64,
        classes: 2,
        input: Input::Tokens(128),
        build: textrnn,
    },
    Model {
        name: "lstm64",
        batch: 64,
        classes: 2,
        input: Input::Tokens(128),
        build: lstm,
    },
    Model {
        name: "gru64",
        batch: 64,
        classes: 2,
        input: Input::Tokens(128),
        build: gru,
    },
];

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

/// x [n, 1, 32, 32] -> [n, 10]
fn lenet(p: &Params) -> Forward {
    let conv1 = Conv2d::new(1, 6, 5).build(&p.at("conv1"));
    let conv2 = Conv2d::new(6, 16, 3).build(&p.at("conv2"));
    let fc1 = Linear::new(576, 120).build(&p.at("fc1"));
    let fc2 = Linear::new(120, 84).build(&p.at("fc2"));
    let fc3 = Linear::new(84, 10).build(&p.at("fc3"));
    Box::new(move |x| {
        let x = conv1.forward(x).relu().max_pool2d(2);
        let x = conv2.forward(&x).relu().max_pool2d(2).flatten(1);
        let x = fc1.forward(&x).relu();
        fc3.forward(&fc2.forward(&x).relu())
    })
}

/// x [n, 3, 32, 32] -> [n, 10]
fn cifar(p: &Params) -> Forward {
    let channels = [3, 32, 32, 64, 64, 128, 128];
    let conv = |i: usize| {
        let conv = Conv2d::new(channels[i], channels[i + 1], 3).padding(1);
        conv.build(&p.at(format!("convs.{i}")))
    };
    let convs: Vec<Conv2d> = (0..6).map(conv).collect();
    let fc1 = Linear::new(2048, 128).build(&p.at("fc1"));
    let fc2 = Linear::new(128, 10).build(&p.at("fc2"));
    Box::new(move |x| {
        let mut x = x.clone();
        for pair in convs.chunks(2) {
            for conv in pair {
                x = conv.forward(&x).relu();
            }
            x = x.max_pool2d(2);
        }
        fc2.forward(&fc1.forward(&x.flatten(1)).relu())
    })
}

/// x [n, tokens] -> [n, 2]
fn textcnn(p: &Params) -> Forward {
    let embedding = Embedding::new(VOCABULARY, 64).build(&p.at("embedding"));
    let conv = Conv1d::new(64, 10, 3).padding(1).build(&p.at("conv"));
    let out = Linear::new(10, 2).build(&p.at("out"));
    Box::new(move |x| {
        let x = embedding.forward(x).transpose(1, 2); // [n, 64, tokens]
        out.forward(&conv.forward(&x).relu().amax(&[2], false))
    })
}

/// x [n, tokens] -> [n, 2]
fn encoder(p: &Params) -> Forward {
    let embedding = Embedding::new(VOCABULARY, 128).build(&p.at("embedding"));
    let position = LearnedPositions::new(128, 128).build(&p.at("position"));
    let layer = TransformerEncoderLayer::new(128, 4)
        .dim_feedforward(512)
        .dropout(0.0)
        .batch_first(true);
    let encoder = TransformerEncoder::new(layer, 2).build(&p.at("encoder"));
    let out = Linear::new(128, 2).build(&p.at("out"));
    Box::new(move |x| {
        let x = position.forward(&embedding.forward(x));
        out.forward(&encoder.forward(&x).mean(&[1], false))
    })
}

fn textrnn(p: &Params) -> Forward {
    recurrent(p, Rnn::new(64, 96), 96)
}

fn lstm(p: &Params) -> Forward {
    recurrent(p, Lstm::new(64, 128), 128)
}

fn gru(p: &Params) -> Forward {
    recurrent(p, Gru::new(64, 128), 128)
}

/// x [n, tokens] -> [n, 2], from the last output
fn recurrent<K: RecurrentKind>(p: &Params, layer: RecurrentBuilder<K>, hidden: usize) -> Forward {
    let embedding = Embedding::new(VOCABULARY, 64).build(&p.at("embedding"));
    let layer = layer.batch_first(true).build(&p.at("recurrent"));
    let out = Linear::new(hidden, 2).build(&p.at("out"));
    Box::new(move |x| {
        let y = layer.forward(&embedding.forward(x));
        out.forward(&y.narrow(1, y.size(1) - 1, 1).squeeze(1))
    })
}
