//! Every stage of the engine in print: the graph of a training step, its gradients, the plan for CPU and GPU, memory, a
//! kernel's source, the run.
//!
//! `cargo run --release --example tour`. The model is a perceptron that learns exclusive or.

mod common;

use clap::Parser;
use wgrad::caps::Caps;
use wgrad::nn::{Linear, Module, Sequential, Tanh};
use wgrad::ops::reduction::Reduction;
use wgrad::optim::Adam;
use wgrad::plan::Plan;
use wgrad::{Array, Mode, Params, Tensor, TensorType, Trace};

fn title(text: &str) {
    println!("\n== {text}");
}

fn main() -> anyhow::Result<()> {
    let options = common::Options::parse();
    options.takes_none_of_training()?;

    title("1. parameters: named, drawn from a seed, not yet on a device");
    let params = Params::new(options.seed);
    let model = Sequential::new(&params)
        .add(Linear::new(2, 8))
        .add(Tanh)
        .add(Linear::new(8, 1));
    for state in params.list() {
        println!("{} {}", state.path, state.shape);
    }

    title("2. the trace: running the model writes down operators, it computes nothing");
    let types = [TensorType::f32([4, 2]), TensorType::f32([4, 1])];
    let loss = |x: &Tensor, y: &Tensor| {
        model
            .forward(x)
            .binary_cross_entropy_with_logits(y, Reduction::Mean)
    };
    let trace = Trace::new(&params, true);
    let inputs = types.clone().map(|ty| trace.input(ty));
    let forward = loss(&inputs[0], &inputs[1]);
    println!("{}", trace.finish(&[forward])?.graph);

    title("3. gradients and the optimizer are operators in the same graph");
    let trace = Trace::new(&params, true);
    let inputs = types.clone().map(|ty| trace.input(ty));
    let value = loss(&inputs[0], &inputs[1]);
    trace.minimize(&value, &Adam::new(0.05));
    let graph = trace.finish(&[value])?.graph;
    println!("{graph}");

    title(
        "4. the plan: what is not needed is gone, element-wise operators are fused, memory is placed",
    );
    for (device, caps) in [("CPU", Caps::cpu()), ("GPU", Caps::default())] {
        let plan = Plan::compile(graph.clone(), &caps)?;
        println!(
            "{device}: {} nodes became {} steps",
            graph.nodes.len(),
            plan.steps.len()
        );
    }
    let plan = Plan::compile(graph, &Caps::default())?;
    println!("\n{plan}");

    title("5. a kernel: the optimizer's step in WGSL");
    let mut kernels = plan.steps.iter().flat_map(|s| &s.kernels.dispatches);
    println!(
        "{}",
        kernels.next_back().map_or_else(String::new, |k| k.wgsl())
    );

    title("6. the session: states move to the device, the function is compiled for it");
    let mut session = options.session(&params)?;
    let mut step = session.compile(Mode::Train, &types, |g, batch| {
        let value = loss(&batch[0], &batch[1]);
        g.minimize(&value, &Adam::new(0.05));
        vec![value]
    })?;
    println!("layers of the plan in use: {}", step.layers().len());
    println!("memory:\n{}", session.predicted_memory(&step));

    title("7. runs: one submission a step");
    let x = Array::new([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
    let y = Array::new([4, 1], vec![0.0f32, 1.0, 1.0, 0.0])?;
    for i in 0..options.size(300, 3) {
        let value = session.run(&mut step, &[&x, &y])?[0].item();
        if i % 60 == 0 {
            println!("step {i:3}: loss {value:.4}");
        }
    }
    println!("{:?}", session.counters());

    title("8. another function over the same weights: predictions, without training");
    let mut predict = session.compile(Mode::Eval, &types[..1], |_, batch| {
        vec![model.forward(&batch[0]).sigmoid()]
    })?;
    println!("{}", session.run(&mut predict, &[&x])?[0]);

    title("9. mistakes are found while tracing, with the line that made them");
    let wrong = session.compile(Mode::Eval, &[TensorType::f32([4, 3])], |_, batch| {
        vec![model.forward(&batch[0])]
    });
    println!(
        "{}",
        wrong.err().map_or_else(String::new, |e| e.to_string())
    );
    Ok(())
}
