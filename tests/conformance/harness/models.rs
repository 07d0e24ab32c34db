//! The models that `generate.py` defines, as a user would write them.

use wgrad::nn::{
    BatchNorm2d, Conv1d, Conv2d, Embedding, LearnedPositions, Linear, Lstm, Module, Rnn,
    TransformerEncoder, TransformerEncoderLayer,
};
use wgrad::scalar::GeluApprox;
use wgrad::{Params, Tensor};

/// The model of that name.
pub fn find(name: &str, p: &Params) -> Option<Box<dyn Module>> {
    match name {
        "mlp" => Some(mlp(p)),
        "lenet" => Some(lenet(p, [6, 5, 16, 3], [576, 120, 84], Tensor::relu)),
        "lenet_exercise" => Some(lenet(p, [9, 3, 25, 4], [900, 540, 54], Tensor::tanh)),
        "keras_cifar" => Some(keras_cifar(p, 8)),
        "simple_cnn" => Some(simple_cnn(p)),
        "norm_net" => Some(norm_net(p)),
        "transformer_classifier" => Some(transformer_classifier(p)),
        "simple_rnn" => Some(simple_rnn(p)),
        "lstm_tagger" => Some(lstm_tagger(p)),
        _ => None,
    }
}

fn mlp(p: &Params) -> Box<dyn Module> {
    let linear1 = Linear::new(100, 200).build(&p.at("linear1"));
    let linear2 = Linear::new(200, 10).build(&p.at("linear2"));
    Box::new(move |x: &Tensor| linear2.forward(&linear1.forward(x).relu()))
}

fn lenet(
    p: &Params,
    [c1, k1, c2, k2]: [usize; 4],
    [flat, fc1, fc2]: [usize; 3],
    activation: fn(&Tensor) -> Tensor,
) -> Box<dyn Module> {
    let conv1 = Conv2d::new(1, c1, k1).build(&p.at("conv1"));
    let conv2 = Conv2d::new(c1, c2, k2).build(&p.at("conv2"));
    let fc1_ = Linear::new(flat, fc1).build(&p.at("fc1"));
    let fc2_ = Linear::new(fc1, fc2).build(&p.at("fc2"));
    let fc3_ = Linear::new(fc2, 10).build(&p.at("fc3"));
    Box::new(move |x: &Tensor| {
        let x = conv1.forward(x).relu().max_pool2d(2);
        let x = conv2.forward(&x).relu().max_pool2d(2).flatten(1);
        let x = activation(&fc2_.forward(&activation(&fc1_.forward(&x))));
        fc3_.forward(&x)
    })
}

fn keras_cifar(p: &Params, width: usize) -> Box<dyn Module> {
    let channels = [3, width, width, 2 * width, 2 * width, 4 * width, 4 * width];
    let conv = |(i, c): (usize, &[usize])| {
        Conv2d::new(c[0], c[1], 3)
            .padding(1)
            .build(&p.at(format!("convs.{i}")))
    };
    let convs: Vec<Conv2d> = channels.windows(2).enumerate().map(conv).collect();
    let fc1 = Linear::new(4 * width * 16, 128).build(&p.at("fc1"));
    let fc2 = Linear::new(128, 10).build(&p.at("fc2"));
    Box::new(move |x: &Tensor| {
        let x = convs.iter().enumerate().fold(x.clone(), |x, (i, conv)| {
            let x = conv.forward(&x).relu();
            if i % 2 == 1 { x.max_pool2d(2) } else { x }
        });
        fc2.forward(&fc1.forward(&x.flatten(1)).relu())
    })
}

fn simple_cnn(p: &Params) -> Box<dyn Module> {
    let embeddings = Embedding::new(500, 64).build(&p.at("embeddings"));
    let convolution = Conv1d::new(64, 10, 3)
        .padding(1)
        .build(&p.at("convolution"));
    let output_layer = Linear::new(10, 2).build(&p.at("output_layer"));
    Box::new(move |ids: &Tensor| {
        let x = embeddings.forward(ids).transpose(1, 2);
        let x = convolution.forward(&x).relu().adaptive_max_pool1d([1]);
        output_layer.forward(&x.squeeze(2))
    })
}

fn norm_net(p: &Params) -> Box<dyn Module> {
    let conv = |inputs, name: &str| {
        Conv2d::new(inputs, 8, 3)
            .padding(1)
            .bias(false)
            .build(&p.at(name))
    };
    let (conv1, bn1) = (conv(3, "conv1"), BatchNorm2d::new(8).build(&p.at("bn1")));
    let (conv2, bn2) = (conv(8, "conv2"), BatchNorm2d::new(8).build(&p.at("bn2")));
    let fc = Linear::new(8, 10).build(&p.at("fc"));
    Box::new(move |x: &Tensor| {
        let x = bn1.forward(&conv1.forward(x)).relu();
        let x = (&bn2.forward(&conv2.forward(&x)) + &x).relu();
        fc.forward(&x.adaptive_avg_pool2d([1, 1]).flatten(1))
    })
}

fn transformer_classifier(p: &Params) -> Box<dyn Module> {
    let embeddings = Embedding::new(200, 32).build(&p.at("embeddings"));
    let position = LearnedPositions::new(16, 32).build(&p.at("position"));
    let layer = TransformerEncoderLayer::new(32, 4)
        .dim_feedforward(64)
        .dropout(0.0)
        .activation(|x| x.gelu(GeluApprox::None))
        .norm_first(true)
        .batch_first(true);
    let encoder = TransformerEncoder::new(layer, 2).build(&p.at("encoder"));
    let output_layer = Linear::new(32, 2).build(&p.at("output_layer"));
    Box::new(move |ids: &Tensor| {
        let x = position.forward(&embeddings.forward(ids));
        output_layer.forward(&encoder.forward(&x).mean(&[1], false))
    })
}

fn simple_rnn(p: &Params) -> Box<dyn Module> {
    let embeddings = Embedding::new(500, 64).build(&p.at("embeddings"));
    let rnn = Rnn::new(64, 96).batch_first(true).build(&p.at("rnn"));
    let output_layer = Linear::new(96, 2).build(&p.at("output_layer"));
    Box::new(move |ids: &Tensor| {
        let y = rnn.forward(&embeddings.forward(ids));
        output_layer.forward(&y.narrow(1, y.size(1) - 1, 1).squeeze(1))
    })
}

fn lstm_tagger(p: &Params) -> Box<dyn Module> {
    let word_embeddings = Embedding::new(200, 16).build(&p.at("word_embeddings"));
    let lstm = Lstm::new(16, 24).batch_first(true).build(&p.at("lstm"));
    let hidden2tag = Linear::new(24, 9).build(&p.at("hidden2tag"));
    Box::new(move |ids: &Tensor| {
        let y = lstm.forward(&word_embeddings.forward(ids));
        hidden2tag.forward(&y).transpose(1, 2)
    })
}
