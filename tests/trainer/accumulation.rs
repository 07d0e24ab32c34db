//! Batches of several sizes in one update: each counts by what its loss counted.

use crate::common::{arguments, session};
use wgrad::data::{DataLoader, DataLoaderOptions, TensorDataset};
use wgrad::nn::Module;
use wgrad::ops::reduction::Reduction;
use wgrad::optim::{MinimizeOptions, Sgd};
use wgrad::train::{History, IntervalStrategy, Outcome, Trainer, TrainingArguments};
use wgrad::{Array, Params, Tensor, Trace};

/// What is trained: `w` `[2]`, zeros at first.
fn parameters() -> (Params, wgrad::state::Param) {
    let params = Params::new(0);
    let w = params.parameter("w", [2], |_, _| vec![0.0; 2]);
    (params, w)
}

/// One epoch of one update by descent by 1, and one evaluation of the same data: the weights and the history.
fn trained(
    data: &TensorDataset,
    args: TrainingArguments,
    options: MinimizeOptions,
    task: impl Fn(&Trace, &Tensor, &[Tensor]) -> Outcome + Send + Sync,
) -> (Vec<f32>, History) {
    let (params, w) = parameters();
    let mut s = session(&params);
    let ordered = DataLoaderOptions {
        batch_size: args.train_batch_size,
        ..Default::default()
    };
    let task = |g: &Trace, batch: &[Tensor]| task(g, &g.param(&w), batch);
    let trainer = Trainer::new(&mut s, task, args).optimizer(Sgd::new(1.0));
    let mut trainer = trainer.minimize_options(options);
    let train = DataLoader::new(data.clone(), ordered.clone()).unwrap();
    let valid = DataLoader::new(data.clone(), ordered).unwrap();
    let history = trainer.fit(train, valid).unwrap();
    drop(trainer);
    (s.get("w").unwrap().to_f32(), history)
}

fn accumulating(batch: usize, steps: usize) -> TrainingArguments {
    TrainingArguments {
        train_batch_size: batch,
        gradient_accumulation_steps: steps,
        eval_strategy: IntervalStrategy::Epoch,
        ..arguments(1)
    }
}

#[track_caller]
fn near(got: &[f32], want: &[f32]) {
    let off = got.iter().zip(want).map(|(g, w)| (g - w).abs());
    assert!(off.fold(0.0, f32::max) < 1e-5, "{got:?}, want {want:?}");
}

/// Two texts of which one and three tokens are labelled.
fn texts() -> TensorDataset {
    let labels = Array::new([2, 3], vec![-100, 0, -100, 1, 1, 1]).unwrap();
    TensorDataset::new(vec![labels]).unwrap()
}

fn tokens(w: &Tensor, batch: &[Tensor]) -> (Tensor, Tensor) {
    let labels = batch[0].flatten(0);
    let logits = w.unsqueeze(0).expand([labels.size(0), 2]);
    (logits, labels)
}

#[test]
fn tokens_that_are_not_ignored() {
    for on_device in [None, Some(true)] {
        let args = TrainingArguments {
            data_on_device: on_device,
            ..accumulating(1, 2)
        };
        let (w, history) = trained(
            &texts(),
            args.clone(),
            MinimizeOptions::default(),
            |_, w, batch| {
                let (logits, labels) = tokens(w, batch);
                Outcome::new(logits.cross_entropy(&labels))
            },
        );
        near(&w, &[-0.25, 0.25]);
        // Means over tokens, of the training at 0 and of the evaluation at w.
        let at = |w: f64, label: f64| (1.0 + (-2.0 * w * label).exp()).ln();
        let want = (at(0.25, -1.0) + 3.0 * at(0.25, 1.0)) / 4.0;
        let loss = history.last("val_loss").unwrap();
        assert!((loss - want).abs() < 1e-6, "{loss}, want {want}");
        assert!((history.last("loss").unwrap() - 2f64.ln()).abs() < 1e-6);
        // A loss that the library does not know, with what it counted.
        let (w, history) = trained(&texts(), args, MinimizeOptions::default(), |_, w, batch| {
            let (logits, labels) = tokens(w, batch);
            let counted = labels.ne(-100).to_f32();
            let chosen = logits
                .log_softmax(-1)
                .select(1, 1)
                .mul(&labels.eq(1).to_f32());
            let other = logits
                .log_softmax(-1)
                .select(1, 0)
                .mul(&labels.eq(0).to_f32());
            let counted = counted.sum(&[], false);
            let loss = chosen.add(&other).neg().sum(&[], false).div(&counted);
            Outcome::new(loss).counted(counted)
        });
        near(&w, &[-0.25, 0.25]);
        let loss = history.last("val_loss").unwrap();
        assert!((loss - want).abs() < 1e-6, "{loss}, want {want}");
    }
}

#[test]
fn texts_without_labels_add_nothing() {
    let labels = Array::new([3, 2], vec![-100, 0, -100, -100, 1, 1]).unwrap();
    let data = TensorDataset::new(vec![labels]).unwrap();
    let (w, history) = trained(
        &data,
        accumulating(1, 3),
        MinimizeOptions::default(),
        |_, w, batch| {
            let (logits, labels) = tokens(w, batch);
            Outcome::new(logits.cross_entropy(&labels))
        },
    );
    near(&w, &[-1.0 / 6.0, 1.0 / 6.0]);
    assert!(history.last("val_loss").unwrap().is_finite());
    assert!((history.last("loss").unwrap() - 2f64.ln()).abs() < 1e-6);
}

#[test]
fn samples_of_a_short_batch() {
    let x = Array::vector(vec![1.0f32, 2.0, 3.0, 4.0, 21.0]);
    let data = TensorDataset::new(vec![x]).unwrap();
    // Descent by 1 down the mean of (w0 - x)²: by 2 · 6.2.
    for form in 0..3 {
        let (w, _) = trained(
            &data,
            accumulating(2, 3),
            MinimizeOptions::default(),
            |_, w, batch| {
                let w = w.select(0, 0).expand([batch[0].size(0)]);
                let loss = match form {
                    0 => w.mse_loss(&batch[0], Reduction::Mean),
                    1 => w.sub(&batch[0]).square().mean(&[], false),
                    // Nothing is known of it: the samples count.
                    _ => {
                        let n = batch[0].size(0) as f32;
                        w.sub(&batch[0])
                            .square()
                            .sum(&[], false)
                            .div(&w.trace().scalar(n))
                    }
                };
                Outcome::new(loss)
            },
        );
        near(&w, &[12.4, 0.0]);
    }
    // With parameter groups that do not begin at 0.
    let part = MinimizeOptions::part("w", 2);
    let (w, _) = trained(&data, accumulating(2, 3), part, |_, w, batch| {
        let w = w.select(0, 1).expand([batch[0].size(0)]);
        Outcome::new(w.mse_loss(&batch[0], Reduction::Mean))
    });
    near(&w, &[0.0, 12.4]);
}

/// A classifier in batches of 4, 4 and 2 is one in a batch of 10.
#[test]
fn a_classifier_accumulates_what_one_batch_has() {
    let x: Vec<f32> = (0..30).map(|i| (i as f32 * 0.7).sin()).collect();
    let labels = Array::vector((0..10).map(|i| (i * i) % 3).collect::<Vec<i32>>());
    let data = TensorDataset::new(vec![Array::new([10, 3], x).unwrap(), labels]).unwrap();
    let run = |batch, steps| {
        let params = Params::new(1);
        let fc = wgrad::nn::Linear::new(3, 3).build(&params.at("fc"));
        let mut s = session(&params);
        let args = TrainingArguments {
            max_grad_norm: Some(0.5),
            eval_strategy: IntervalStrategy::No,
            ..accumulating(batch, steps)
        };
        let args = TrainingArguments {
            num_train_epochs: 3.0,
            ..args
        };
        let model: &dyn Module = &fc;
        Trainer::classifier(&mut s, model, args)
            .optimizer(Sgd::new(0.5))
            .fit(data.clone(), ())
            .unwrap();
        s.get("fc.weight").unwrap().to_f32()
    };
    near(&run(4, 3), &run(10, 1));
    near(&run(3, 4), &run(10, 1));
}
