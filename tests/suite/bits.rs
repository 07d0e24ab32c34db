//! Two runs give the same bits: gradients that many positions add to, and a training of all of it.

use crate::cases::table;
use crate::common::{Pass, cpu, gpu, gpu_hardware_kernels};
use crate::run::{Faults, run};
use wgrad::nn::{BatchNorm1d, Dropout, Embedding, Gru, LayerNorm, Linear, Module};
use wgrad::optim::Adam;
use wgrad::{Array, Mode, Params, TensorType};

/// Rows of the table whose results or gradients are sums that a GPU could take in any order.
const SUMS: &[&str] = &[
    "embedding",
    "scatter",
    "gather",
    "index_select",
    "sum",
    "mean",
    "amax",
    "cumsum",
    "softmax",
    "cross_entropy",
    "layer_norm",
    "rms_norm",
    "batch_norm",
    "group_norm",
    "norm_columns",
    "conv",
    "matmul",
    "attention",
    "recurrence",
    "logsumexp",
    "max_pool",
];

fn bits(all: &[Array]) -> Vec<Vec<u32>> {
    let of = |a: &Array| a.to_f32().into_iter().map(f32::to_bits).collect();
    all.iter().map(of).collect()
}

#[test]
fn results_and_gradients() {
    let pass = gpu();
    let open = || pass.open(&Params::new(3));
    let (Some(mut first), Some(mut second)) = (open(), open()) else {
        return;
    };
    let faults = Faults::default();
    let mut tried = 0;
    for case in table() {
        let sums = SUMS.iter().any(|s| case.name.starts_with(s));
        let large = case
            .inputs
            .iter()
            .any(|i| i.shape.iter().product::<usize>() > 50_000);
        if !sums || large {
            continue;
        }
        tried += 1;
        let inputs = case.values(1);
        let runs = [&mut first, &mut second].map(|s| run(s, &case, &inputs, 1).unwrap());
        let [a, b] = runs.map(|r| bits(&r));
        if a != b {
            faults.add(format!("{} on {}", case.name, pass.name));
        }
    }
    assert!(tried > 150, "{tried} cases");
    faults.end();
}

/// The weights after some steps of a text classifier: an embedding whose rows are hit many times, dropout, norms, a
/// recurrent layer.
fn trained(pass: &Pass) -> Option<Vec<Vec<u32>>> {
    let params = Params::new(7);
    let embedding = Embedding::new(5, 8).build(&params.at("embedding"));
    let norm = LayerNorm::new([8]).build(&params.at("norm"));
    let gru = Gru::new(8, 12).batch_first(true).build(&params.at("gru"));
    let batch = BatchNorm1d::new(12).build(&params.at("batch"));
    let dropout = Dropout::new(0.2).build(&params.at("dropout"));
    let head = Linear::new(12, 3).build(&params.at("head"));
    let mut session = pass.open(&params)?;
    let types = [TensorType::i32([6, 9]), TensorType::i32([6])];
    let mut f = session
        .compile(Mode::Train, &types, |g, a| {
            let x = norm.forward(&embedding.forward(&a[0]));
            let x = gru.forward(&x).mean(&[1], false);
            let y = head.forward(&dropout.forward(&batch.forward(&x)));
            let loss = y.cross_entropy(&a[1]);
            g.minimize_clipped(&loss, &Adam::new(0.05), Some(1.0));
            vec![loss]
        })
        .unwrap();
    let ids = Array::new([6, 9], (0..54).map(|i| i * i % 5).collect::<Vec<i32>>()).unwrap();
    let labels = Array::vector(vec![0i32, 1, 2, 2, 1, 0]);
    for _ in 0..6 {
        session.run(&mut f, &[&ids, &labels]).unwrap();
    }
    let states = session.params().all();
    Some(bits(&session.get_all(&states).unwrap()))
}

#[test]
fn trainings() {
    for pass in [cpu(), gpu(), gpu_hardware_kernels()] {
        if let Some(first) = trained(&pass) {
            assert_eq!(trained(&pass).unwrap(), first, "{}", pass.name);
        }
    }
}
