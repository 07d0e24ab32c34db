//! Data on the device: the same bits, no upload but indices, memory as predicted; what steps cost.

use super::{pairs, small_of, task};
use crate::common::{LeNet, arguments, digits, hash, session};
use std::sync::{Arc, Mutex};
use wgrad::data::{Dataset, ImageDataset, TensorDataset};
use wgrad::device::{Counters, DeviceKind, DeviceOptions};
use wgrad::nn::{Flatten, Linear, Sequential};
use wgrad::optim::Sgd;
use wgrad::train::{
    Callback, Event, IntervalStrategy, Lambda, Logs, Trainer, TrainingArguments, ValidationSplit,
};
use wgrad::{Array, Error, Mode, Params, Result, Session, TensorType};

fn on(kind: DeviceKind, limit: Option<u64>, params: &Params) -> Session {
    let options = DeviceOptions {
        kind: Some(kind),
        memory_limit: limit,
        ..Default::default()
    };
    Session::with_options(params, &options).unwrap()
}

/// Train on `train`, evaluate on `valid`, with the data on the device or not; what was measured and the bits at the end.
fn trained<D: Dataset + Clone + 'static>(
    kind: DeviceKind,
    on_device: Option<bool>,
    train: &D,
    valid: impl wgrad::train::Source,
) -> (Vec<Vec<f64>>, u64) {
    let params = Params::new(3);
    let model = LeNet::new(&params);
    let mut s = on(kind, None, &params);
    let args = TrainingArguments {
        train_batch_size: 16,
        data_on_device: on_device,
        ..arguments(2)
    };
    let mut trainer = Trainer::classifier(&mut s, &model, args);
    let history = trainer.fit(train.clone(), valid).unwrap();
    assert_eq!(trainer.session().memory().data, 0, "it is given back");
    let columns = ["loss", "accuracy", "val_loss", "val_accuracy"];
    let numbers = columns.map(|n| history.get(n).to_vec()).to_vec();
    (numbers, hash(trainer.session()))
}

#[test]
fn the_bits_are_those_of_batches_that_are_uploaded() {
    for kind in [DeviceKind::Cpu, DeviceKind::Gpu] {
        let both = |on_device| trained(kind, Some(on_device), &digits(0, 72), digits(80, 40));
        assert_eq!(both(true), both(false), "{kind:?}");
    }
}

/// Three channels of five by three, normalised differently, an odd number of bytes in an image; and plain arrays.
#[test]
fn images_and_arrays_are_taken_as_they_are_made() {
    let bytes: Vec<u8> = (0..45 * 9).map(|i| (i * 37 % 256) as u8).collect();
    let images = wgrad::data::Bytes::new([9, 3, 5, 3], bytes).unwrap();
    let labels = wgrad::data::Bytes::new([9], (0..9).collect::<Vec<u8>>()).unwrap();
    let images = ImageDataset::new(images, labels)
        .unwrap()
        .center_crop(3, 3)
        .unwrap();
    let images = images
        .normalize(&[0.1, 0.2, 0.3], &[0.5, 0.6, 0.7])
        .unwrap();
    let other = images.clone().normalize(&[0.4], &[0.9]).unwrap();
    let whole = images.concat(other.subset([8, 2, 0]).unwrap());
    let order = [3, 11, 9, 0, 10, 8];
    let wanted = whole.batch(&order, 0).unwrap();
    for kind in [DeviceKind::Cpu, DeviceKind::Gpu] {
        let seen = Arc::<Mutex<Vec<Array>>>::default();
        // A model whose loss is 0 and whose predictions are the batch.
        let params = Params::new(0);
        let fc = Linear::new(1, 1).build(&params.at("fc"));
        let mut s = on(kind, None, &params);
        let task = |g: &wgrad::Trace, batch: &[wgrad::Tensor]| {
            let zero = g.constant(Array::zeros([1, 1]));
            let loss = wgrad::nn::Module::forward(&fc, &zero).sum(&[], false);
            wgrad::train::Outcome::new(loss)
                .predictions(batch[0].clone())
                .label_ids(batch[1].clone())
        };
        let args = TrainingArguments {
            data_on_device: Some(true),
            ..pairs(1)
        };
        let note = seen.clone();
        let mut trainer = Trainer::new(&mut s, task, args).compute_metrics(move |p| {
            *note.lock().unwrap() = vec![p.predictions.clone(), p.labels.clone()];
            Ok(vec![])
        });
        let held_out = Arc::new(whole.clone()).subset(order).unwrap();
        trainer.fit(whole.clone(), held_out).unwrap();
        assert_eq!(*seen.lock().unwrap(), wanted, "{kind:?}");
    }
}

/// Counts at every event.
struct Watch(Arc<Mutex<Vec<(&'static str, Counters)>>>);

impl Watch {
    fn note(&self, event: &Event, what: &'static str) -> Result<()> {
        let counters = event.session.counters();
        self.0.lock().unwrap().push((what, counters));
        Ok(())
    }
}

impl Callback for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }
    fn on_step_begin(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "begin")
    }
    fn on_step_end(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "end")
    }
    fn on_prediction_step(&mut self, e: &mut Event) -> Result<()> {
        self.note(e, "evaluated")
    }
    fn on_evaluate(&mut self, e: &mut Event, _: &Logs) -> Result<()> {
        self.note(e, "evaluation")
    }
}

/// Words that a step uploads and reads back, submissions and buffers; the same of a batch of an evaluation.
fn costs(kind: DeviceKind, on_device: bool) -> [[u64; 4]; 2] {
    let params = Params::new(3);
    let model = Sequential::new(&params)
        .add(Flatten)
        .add(Linear::new(1024, 10));
    let notes = Arc::<Mutex<Vec<_>>>::default();
    let mut s = on(kind, None, &params);
    let args = TrainingArguments {
        train_batch_size: 8,
        eval_batch_size: Some(8),
        data_on_device: Some(on_device),
        ..arguments(2)
    };
    let mut trainer = Trainer::classifier(&mut s, &model, args)
        .optimizer(Sgd::new(0.1))
        .callback(Watch(notes.clone()));
    trainer.fit(digits(0, 64), digits(64, 64)).unwrap();
    drop(trainer);
    let notes = notes.lock().unwrap();
    let of = |from: &'static str, to: &'static str| {
        let pairs = notes.windows(2).filter(|w| (w[0].0, w[1].0) == (from, to));
        let each: Vec<[u64; 4]> = pairs
            .map(|w| {
                let (a, b) = (w[0].1, w[1].1);
                [
                    (b.bytes_up - a.bytes_up) / 4,
                    (b.bytes_down - a.bytes_down) / 4,
                    b.submits - a.submits,
                    b.allocations - a.allocations,
                ]
            })
            .collect();
        // The last batch of an evaluation is read with none on its way.
        let each: Vec<[u64; 4]> = each.into_iter().filter(|c| c[2] > 0).collect();
        // After the warm-up all are alike.
        let last = *each.last().unwrap();
        let warm = &each[each.len() / 2..];
        assert!(
            each.len() > 10 && warm.iter().all(|c| *c == last),
            "{each:?}"
        );
        last
    };
    [of("begin", "end"), of("evaluated", "evaluated")]
}

#[test]
fn a_step_uploads_its_indices_and_scalars_alone() {
    for kind in [DeviceKind::Cpu, DeviceKind::Gpu] {
        // A step reads back its loss and what is right of the batch; nothing else, and the next one is on its way by then.
        let [step, evaluation] = costs(kind, true);
        // Eight indices and the learning rate, each list at a multiple of 64 words.
        assert_eq!(step, [64 + 64, 2, 1, 0], "{kind:?}");
        assert_eq!(evaluation, [64, 2, 1, 0], "{kind:?}");
        let [step, evaluation] = costs(kind, false);
        assert_eq!(step, [8 * 1024 + 64 + 64, 2, 1, 0], "{kind:?}");
        assert_eq!(evaluation, [8 * 1024 + 64, 2, 1, 0], "{kind:?}");
    }
}

/// Bytes of data that the device holds while it trains.
fn held(
    kind: DeviceKind,
    train: impl wgrad::train::Source,
    valid: impl wgrad::train::Source,
) -> u64 {
    let params = Params::new(3);
    let model = LeNet::new(&params);
    let found = Mutex::new(0);
    let mut s = on(kind, None, &params);
    let args = TrainingArguments {
        data_on_device: Some(true),
        max_steps: Some(2),
        ..arguments(1)
    };
    let look = Lambda::new().on_step_end(|event| {
        *found.lock().unwrap() = event.session.memory().data;
        Ok(())
    });
    let mut trainer = Trainer::classifier(&mut s, &model, args).callback(look);
    trainer.fit(train, valid).unwrap();
    drop(trainer);
    found.into_inner().unwrap()
}

#[test]
fn plans_over_the_same_data_share_one_copy() {
    // Bytes of the images, four a word, and labels of a word each; of the whole file, of which these are subsets.
    let all = ImageDataset::mnist("examples/data/mnist", false).unwrap();
    let n = all.len() as u64;
    let copy = n * (32 * 32 + 4);
    for kind in [DeviceKind::Cpu, DeviceKind::Gpu] {
        assert_eq!(held(kind, digits(0, 64), ValidationSplit::new(0.5)), copy);
        // Two data sets are two copies.
        assert_eq!(held(kind, digits(0, 64), digits(64, 64)), 2 * copy);
    }
}

#[test]
fn a_limit_holds_data_too() {
    let all = ImageDataset::mnist("examples/data/mnist", false).unwrap();
    let bytes = all.len() as u64 * (28 * 28 + 4);
    for kind in [DeviceKind::Cpu, DeviceKind::Gpu] {
        let fit = |limit, on_device| {
            let params = Params::new(3);
            let model = Sequential::new(&params)
                .add(Flatten)
                .add(Linear::new(784, 10));
            let mut s = on(kind, Some(limit), &params);
            let args = TrainingArguments {
                data_on_device: on_device,
                max_steps: Some(2),
                eval_strategy: IntervalStrategy::No,
                ..arguments(1)
            };
            let result = Trainer::classifier(&mut s, &model, args).fit(all.clone(), ());
            assert_eq!(s.memory().data, 0);
            result.map(drop)
        };
        fit(bytes + (2 << 20), Some(true)).unwrap();
        let error = fit(bytes - 1, Some(true)).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory(_)), "{error}");
        assert!(error.to_string().contains("data_on_device: "), "{error}");
        fit(bytes - 1, None).unwrap();
    }
}

#[test]
fn data_that_cannot_lie_on_the_device_are_refused_or_uploaded() {
    let small = small_of(0, 4);
    let why = "data_on_device: the training data are not arrays in memory, are changed at random, or have a collate \
               function; leave it at None";
    let of = |on_device| {
        let data = small.data.clone().map(Ok);
        let mut s = session(&small.params);
        let args = TrainingArguments {
            data_on_device: on_device,
            eval_strategy: IntervalStrategy::No,
            ..pairs(1)
        };
        Trainer::new(&mut s, task(&small.fc), args)
            .fit(data, ())
            .map(drop)
    };
    assert_eq!(of(Some(true)).unwrap_err().to_string(), why);
    of(None).unwrap();
    // Labels that are no classes are found before the training.
    let params = Params::new(0);
    let model = Sequential::new(&params).add(Linear::new(2, 3));
    let data = TensorDataset::new(vec![
        Array::zeros([6, 2]),
        Array::vector(vec![0, 1, 2, 5, 1, 7]),
    ]);
    let data = data.unwrap();
    let mut s = session(&params);
    let args = TrainingArguments {
        data_on_device: Some(true),
        ..pairs(1)
    };
    let mut trainer = Trainer::classifier(&mut s, &model, args);
    let part = |indices: [usize; 2]| data.clone().subset(indices).unwrap();
    assert_eq!(
        trainer
            .fit(part([2, 3]), part([0, 1]))
            .unwrap_err()
            .to_string(),
        "array 1 of sample 1 has 5: expected class labels from 0 to 2"
    );
    assert_eq!(
        trainer
            .fit(part([0, 1]), part([5, 2]))
            .unwrap_err()
            .to_string(),
        "array 1 of sample 0 has 7: expected class labels from 0 to 2"
    );
    trainer.fit(part([0, 1]), part([2, 4])).unwrap();
    assert_eq!(trainer.session().memory().data, 0);
}

#[test]
fn a_session_holds_arrays_until_they_are_released() {
    for kind in [DeviceKind::Cpu, DeviceKind::Gpu] {
        let params = Params::new(0);
        let _ = Linear::new(2, 2).build(&params.at("fc"));
        let mut s = on(kind, None, &params);
        let before = s.memory();
        let rows = Array::new([3, 2], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let held = s.hold(&rows).unwrap();
        assert_eq!(held.ty(), &TensorType::f32([3, 2]));
        assert_eq!(s.memory().data, 24);
        let taken = held.clone();
        let mut f = s
            .compile(Mode::Eval, &[TensorType::i32([2])], move |g, x| {
                vec![g.held(&taken).index_select(0, &x[0])]
            })
            .unwrap();
        assert_eq!(s.predicted_memory(&f).data, 24);
        let index = Array::vector(vec![2, 0]);
        let got = s.run(&mut f, &[&index]).unwrap();
        assert_eq!(got[0].to_f32(), [4.0, 5.0, 0.0, 1.0]);
        let wrong = s.run(&mut f, &[&Array::vector(vec![2, 3])]).unwrap_err();
        assert!(wrong.to_string().contains("indices from 0 to 2"), "{wrong}");
        // It is no part of the model.
        assert_eq!(s.params().list().len(), 2);
        s.release(&held).unwrap();
        let gone = s.run(&mut f, &[&index]).unwrap_err().to_string();
        assert!(gone.contains("this one was released"), "{gone}");
        let again = s.release(&held).unwrap_err().to_string();
        assert_eq!(
            again,
            "release: data/1 f32 [3,2] is not held by this session"
        );
        s.forget(f);
        assert_eq!(
            (s.memory().data, s.memory().parameters),
            (0, before.parameters)
        );
        let next = s.hold(&Array::zeros([4])).unwrap();
        assert_eq!(s.memory().data, 16);
        let sum = s
            .eval(move |g| vec![g.held(&next).sum(&[], false)])
            .unwrap();
        assert_eq!(sum[0].item(), 0.0);
        assert_eq!(
            s.hold(&Array::zeros([0, 3])).unwrap_err().to_string(),
            "hold: an array [0,3] has no elements"
        );
    }
}
