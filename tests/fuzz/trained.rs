//! Targets that need a training: states of optimizers and of trainers, and what TensorBoard is given.

use crate::events;
use crate::targets::{PLAIN, Target};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use wgrad::data::TensorDataset;
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::nn::{Linear, Module};
use wgrad::optim::Adam;
use wgrad::train::{
    Callback, Event, IntervalStrategy, Logs, Outcome, Progress, Resume, SaveStrategy, TensorBoard,
    Trainer, TrainingArguments,
};
use wgrad::{Array, Error, Params, Result, Session, Tensor, Trace};

/// A plan and the arrays of a small training; what is read of a file comes on top.
const TRAINING: usize = 8 << 20;

/// These targets.
pub fn targets() -> [Target; 3] {
    [
        Target {
            name: "optimizer",
            file: "optimizer.safetensors",
            reads: &[optimizer, parameters, some_parameters],
            floor: TRAINING,
            made: |target| {
                let (folder, mut session) = (target.path(), trained(None));
                session.save_optimizer(&folder).unwrap();
                let slots = std::fs::read(&folder).unwrap();
                session.save(&folder).unwrap();
                vec![slots, std::fs::read(&folder).unwrap()]
            },
            ..PLAIN
        },
        Target {
            name: "trainer_state",
            file: "checkpoint-2/trainer_state.json",
            reads: &[state, state_that_fits],
            floor: TRAINING,
            beside: |checkpoint| drop(trained(checkpoint.parent())),
            made: |target| vec![std::fs::read(target.path()).unwrap()],
            ..PLAIN
        },
        Target {
            name: "tensorboard",
            file: "tags",
            reads: &[tensorboard],
            floor: TRAINING,
            ..PLAIN
        },
    ]
}

struct Model {
    params: Params,
    fc: Linear,
    data: TensorDataset,
}

fn model() -> Model {
    let params = Params::new(0);
    let fc = Linear::new(3, 2).build(&params.at("fc"));
    let values = |n: i16| (0..n).map(|i| f32::from(i) * 0.1).collect::<Vec<f32>>();
    let x = Array::new([4, 3], values(12)).unwrap();
    let y = Array::new([4, 2], values(8)).unwrap();
    let data = TensorDataset::new(vec![x, y]).unwrap();
    Model { params, fc, data }
}

fn session(params: &Params) -> Session {
    let options = DeviceOptions {
        kind: Some(DeviceKind::Cpu),
        ..DeviceOptions::default()
    };
    Session::with_options(params, &options).unwrap()
}

fn task(fc: &Linear) -> impl Fn(&Trace, &[Tensor]) -> Outcome + Send + Sync + '_ {
    |_, batch| {
        let error = &fc.forward(&batch[0]) - &batch[1];
        Outcome::new(error.square().mean(&[], false))
    }
}

fn arguments(folder: Option<&Path>, resume: Resume) -> TrainingArguments {
    TrainingArguments {
        train_batch_size: 2,
        max_steps: Some(3),
        save_strategy: match folder {
            Some(_) => SaveStrategy::Steps,
            None => SaveStrategy::No,
        },
        save_steps: 1.0,
        output_dir: folder.map(Path::to_owned),
        overwrite_output_dir: true,
        eval_strategy: IntervalStrategy::No,
        logging_steps: 1.0,
        progress: Progress::Silent,
        resume_from_checkpoint: resume,
        ..TrainingArguments::default()
    }
}

/// A session after three updates, whose checkpoints lie in `folder`.
fn trained(folder: Option<&Path>) -> Session {
    let Model { params, fc, data } = model();
    let mut session = session(&params);
    let args = arguments(folder, Resume::No);
    let mut trainer = Trainer::new(&mut session, task(&fc), args).optimizer(Adam::new(0.01));
    trainer.fit(data, ()).unwrap();
    drop(trainer);
    session
}

thread_local! {
    /// A session whose optimizer has slots, and the bits of all that it holds.
    static SLOTS: RefCell<Option<(Session, Vec<u32>)>> = const { RefCell::new(None) };
}

fn bits(session: &mut Session) -> Vec<u32> {
    let states = session.params().all();
    let held = session.get_all(&states).unwrap();
    let all = held.iter().flat_map(Array::to_f32).map(f32::to_bits);
    all.collect()
}

/// Loads something into a session; a file that is refused changes nothing.
fn loaded(load: impl FnOnce(&mut Session) -> Result<()>) -> Result<()> {
    SLOTS.with_borrow_mut(|kept| {
        let (session, before) = kept.get_or_insert_with(|| {
            let mut session = trained(None);
            let before = bits(&mut session);
            (session, before)
        });
        let done = load(session);
        let after = bits(session);
        assert!(
            done.is_ok() || after == *before,
            "a file that is refused changes the session"
        );
        *before = after;
        done
    })
}

fn optimizer(path: &Path) -> Result<()> {
    loaded(|session| session.load_optimizer(path))
}

fn parameters(path: &Path) -> Result<()> {
    loaded(|session| session.load(path))
}

fn some_parameters(path: &Path) -> Result<()> {
    match loaded(|session| session.load_partial(path).map(drop)) {
        // nothing of the file fits the model: no fault of the file
        Err(Error::Argument(_)) => Ok(()),
        done => done,
    }
}

/// Goes on from the checkpoint whose state this is.
fn state(path: &Path) -> Result<()> {
    let Model { params, fc, data } = model();
    let mut session = session(&params);
    let checkpoint = path.parent().unwrap().to_owned();
    let args = arguments(None, Resume::From(checkpoint));
    let mut trainer = Trainer::new(&mut session, task(&fc), args).optimizer(Adam::new(0.01));
    trainer.fit(data, ()).map(drop)
}

/// The same with a checksum that fits, so that what no accident gets past it is read too.
fn state_that_fits(path: &Path) -> Result<()> {
    let json = std::fs::read(path).unwrap();
    std::fs::write(path, with_checksum(&json)).unwrap();
    state(path)
}

/// A state with the checksum of what stands before it.
fn with_checksum(json: &[u8]) -> Vec<u8> {
    let name = b"\"crc32\"";
    let Some(at) = json.windows(name.len()).rposition(|w| w == name) else {
        return json.to_vec();
    };
    let (before, rest) = json.split_at(at);
    let mut crc = flate2::Crc::new();
    crc.update(before);
    let end = rest.iter().position(|b| *b == b'}').unwrap_or(rest.len());
    let sum = format!("\"crc32\": {}", crc.sum());
    [before, sum.as_bytes(), &rest[end..]].concat()
}

/// Logs what came, as TensorBoard is to show it.
struct Inject(Vec<(String, f64)>);

impl Callback for Inject {
    fn name(&self) -> &'static str {
        "inject"
    }

    fn on_log(&mut self, _: &mut Event, logs: &mut Logs) -> Result<()> {
        for (name, value) in &self.0 {
            logs.set(name.as_str(), *value);
        }
        Ok(())
    }
}

/// A name a line, the first eight bytes of which are a number.
fn numbers(bytes: &[u8]) -> Vec<(String, f64)> {
    let lines = bytes.split(|b| *b == b'\n');
    let number = |line: &[u8]| {
        let (number, name) = line.split_first_chunk::<8>()?;
        let name = String::from_utf8_lossy(name).into_owned();
        Some((name, f64::from_le_bytes(*number)))
    };
    let known = |name: &str| ["step", "loss", "epoch", "learning_rate"].contains(&name);
    let all = lines.filter_map(number).filter(|(name, _)| !known(name));
    all.collect()
}

/// What the writer wrote is what came, read by what knows the format alone.
fn tensorboard(path: &Path) -> Result<()> {
    let logged = numbers(&std::fs::read(path).unwrap());
    let folder = path.with_file_name("runs");
    let _ = std::fs::remove_dir_all(&folder);
    let Model { params, fc, data } = model();
    let mut session = session(&params);
    let mut trainer = Trainer::new(&mut session, task(&fc), arguments(None, Resume::No))
        .optimizer(Adam::new(0.01))
        .callback(Inject(logged.clone()))
        .callback(TensorBoard::new(&folder).histograms(false));
    trainer.fit(data, ())?;
    let mut entries = std::fs::read_dir(&folder).unwrap();
    let file = std::fs::read(entries.next().unwrap().unwrap().path()).unwrap();
    let found = events::scalars(&file);
    // of a name that comes twice the last counts
    let logged: BTreeMap<String, f64> = logged.into_iter().collect();
    for (name, value) in logged {
        let tag = match name.strip_prefix("eval_") {
            Some(bare) => format!("eval/{bare}"),
            None => format!("train/{name}"),
        };
        let value = value as f32;
        let same = |x: f32| x == value || (x.is_nan() && value.is_nan());
        let of_tag: Vec<f32> = found.iter().filter(|f| f.0 == tag).map(|f| f.1).collect();
        assert!(
            !of_tag.is_empty() && of_tag.iter().all(|x| same(*x)),
            "{tag:?}: {of_tag:?}, not {value}"
        );
    }
    Ok(())
}
