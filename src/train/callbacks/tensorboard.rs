//! TensorBoard's event files: records of protocol buffers, written by hand.

use super::super::callback::{Callback, Event};
use super::super::{Logs, TrainingArguments};
use crate::array::Array;
use crate::error::{Error, Result};
use crate::state::StateKind;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes logs as TensorBoard reads them: scalars `train/loss`, `train/learning_rate`, `eval/loss`, histograms of the weights at
/// each evaluation and of the gradients every so many updates, arguments and the model's table as text.
/// `tensorboard --logdir runs` shows them.
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    histograms: bool,
    gradients: Option<u64>,
    file: Option<Records<BufWriter<File>>>,
}

impl TensorBoard {
    /// One that writes a file into `folder`, which is made where it does not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            histograms: true,
            gradients: None,
            file: None,
        }
    }

    /// Whether weights are read back at each evaluation for histograms; true by default.
    pub fn histograms(mut self, histograms: bool) -> Self {
        self.histograms = histograms;
        self
    }

    /// Read the gradients back every `steps` updates for histograms, as the optimizer gets them
    /// ([`Callback::on_gradients`]); never by default.
    pub fn gradients(mut self, steps: u64) -> Self {
        self.gradients = Some(steps);
        self
    }

    fn write(&mut self, step: u64, values: &[Value]) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.summary(now(), step, values)
            .and_then(|()| file.to.flush())
            .map_err(|e| Error::io(&self.folder, e))
    }
}

impl Callback for TensorBoard {
    fn name(&self) -> &'static str {
        "tensorboard"
    }

    fn check(&self, _: &TrainingArguments) -> Result<()> {
        match self.gradients {
            Some(0) => Err(Error::argument(
                "TensorBoard: gradients every 0 steps: takes 1 or more",
            )),
            _ => Ok(()),
        }
    }

    fn wants_gradients(&self, step: u64) -> bool {
        self.gradients.is_some_and(|n| step.is_multiple_of(n))
    }

    fn on_gradients(
        &mut self,
        _: &mut Event,
        step: u64,
        gradients: &[(Arc<str>, Array)],
    ) -> Result<()> {
        let histogram = |(path, gradient): &(Arc<str>, Array)| {
            Value::histogram(&format!("gradients/{path}"), &gradient.to_f32())
        };
        let values: Vec<Value> = gradients.iter().map(histogram).collect();
        self.write(step, &values)
    }

    fn on_train_begin(&mut self, event: &mut Event) -> Result<()> {
        let (time, step) = (now(), event.state.global_step);
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::io(&self.folder, e))?;
        let nanoseconds = (time * 1e9) as u64;
        let name = format!("events.out.tfevents.{nanoseconds}.{}", std::process::id());
        let path = self.folder.join(name);
        let begin = || -> io::Result<_> {
            let mut file = Records::new(BufWriter::new(File::create_new(&path)?), time)?;
            if step > 0 || !event.state.log_history.is_empty() {
                file.goes_on(time, step)?;
            }
            Ok(file)
        };
        self.file = Some(begin().map_err(|e| Error::io(&path, e))?);
        let args = serde_json::to_string_pretty(event.args).unwrap_or_default();
        let table = event.summary.map(ToString::to_string).unwrap_or_default();
        let texts = [("args", args), ("model", table)];
        let texts = texts.map(|(tag, text)| Value::text(tag, &indented(&text)));
        self.write(step, &texts)
    }

    fn on_logged(&mut self, event: &mut Event, logs: &Logs) -> Result<()> {
        let tag = |name: &str| match name.strip_prefix("eval_") {
            Some(bare) => format!("eval/{bare}"),
            None => format!("train/{name}"),
        };
        let numbers = logs.iter().filter(|(name, _)| *name != "step");
        let values: Vec<Value> = numbers.map(|(n, x)| Value::scalar(&tag(n), x)).collect();
        self.write(event.state.global_step, &values)
    }

    fn on_evaluate(&mut self, event: &mut Event, _: &Logs) -> Result<()> {
        if !self.histograms {
            return Ok(());
        }
        let mut states = event.session.params().root().list();
        states.retain(|s| s.kind == StateKind::Parameter);
        let arrays = event.session.get_all(&states)?;
        let of = states.iter().zip(arrays);
        let values: Vec<Value> = of
            .map(|(s, a)| Value::histogram(&format!("weights/{}", s.path), &a.to_f32()))
            .collect();
        self.write(event.state.global_step, &values)
    }

    fn on_train_end(&mut self, _: &mut Event) -> Result<()> {
        self.file = None;
        Ok(())
    }
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |d| d.as_secs_f64())
}

/// Text as Markdown shows it unchanged.
fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}\n"));
    lines.collect()
}

/// Buckets of a histogram.
const BUCKETS: usize = 30;

/// A value with its tag: the message `Summary.Value`.
struct Value(Message);

impl Value {
    fn tagged(tag: &str) -> Message {
        Message::default().bytes(1, tag.as_bytes())
    }

    fn scalar(tag: &str, x: f64) -> Self {
        Self(Self::tagged(tag).float(2, x as f32))
    }

    /// A histogram of the finite ones of `values`, in buckets of the same width.
    fn histogram(tag: &str, values: &[f32]) -> Self {
        let finite = || {
            let finite = values.iter().filter(|x| x.is_finite());
            finite.map(|x| f64::from(*x))
        };
        let low = finite().fold(f64::INFINITY, f64::min);
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low > high { (0.0, 0.0) } else { (low, high) };
        let width = ((high - low) / BUCKETS as f64).max(f64::MIN_POSITIVE);
        let mut counts = [0.0; BUCKETS];
        for x in finite() {
            counts[(((x - low) / width) as usize).min(BUCKETS - 1)] += 1.0;
        }
        let limits: Vec<f64> = (1..=BUCKETS).map(|i| low + width * i as f64).collect();
        let histogram = Message::default()
            .double(1, low)
            .double(2, high)
            .double(3, finite().count() as f64)
            .double(4, finite().sum())
            .double(5, finite().map(|x| x * x).sum())
            .doubles(6, &limits)
            .doubles(7, &counts);
        Self(Self::tagged(tag).message(5, &histogram))
    }

    fn text(tag: &str, text: &str) -> Self {
        const STRING: u64 = 7;
        let shape = Message::default().message(2, &Message::default().varint(1, 1));
        let tensor = Message::default()
            .varint(1, STRING)
            .message(2, &shape)
            .bytes(8, text.as_bytes());
        let plugin = Message::default().bytes(1, b"text");
        let metadata = Message::default().message(1, &plugin);
        let tag = format!("{tag}/text_summary");
        let value = Self::tagged(&tag).message(8, &tensor);
        Self(value.message(9, &metadata))
    }
}

/// Fields of a protocol buffer.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw(mut self, mut x: u64) -> Self {
        while x >= 0x80 {
            self.0.push(x as u8 | 0x80);
            x >>= 7;
        }
        self.0.push(x as u8);
        self
    }

    fn key(self, field: u64, kind: u64) -> Self {
        self.raw(field << 3 | kind)
    }

    fn varint(self, field: u64, x: u64) -> Self {
        self.key(field, 0).raw(x)
    }

    fn double(self, field: u64, x: f64) -> Self {
        self.key(field, 1).append(&x.to_le_bytes())
    }

    fn float(self, field: u64, x: f32) -> Self {
        self.key(field, 5).append(&x.to_le_bytes())
    }

    fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, 2).raw(bytes.len() as u64).append(bytes)
    }

    fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn doubles(self, field: u64, xs: &[f64]) -> Self {
        let bytes: Vec<u8> = xs.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.bytes(field, &bytes)
    }

    fn append(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// A file of records, each of which is a message `Event` between checksums.
#[derive(Debug)]
struct Records<W> {
    to: W,
}

impl<W: Write> Records<W> {
    fn new(to: W, time: f64) -> io::Result<Self> {
        let mut records = Self { to };
        let version = Message::default().double(1, time);
        records.record(&version.bytes(3, b"brain.Event:2"))?;
        Ok(records)
    }

    /// What other files hold of steps after `step` no longer counts.
    fn goes_on(&mut self, time: f64, step: u64) -> io::Result<()> {
        const START: u64 = 1;
        let session = Message::default().varint(1, START);
        let event = Message::default().double(1, time).varint(2, step + 1);
        self.record(&event.message(7, &session))
    }

    fn summary(&mut self, time: f64, step: u64, values: &[Value]) -> io::Result<()> {
        let summary = values
            .iter()
            .fold(Message::default(), |all, value| all.message(1, &value.0));
        let event = Message::default().double(1, time).varint(2, step);
        self.record(&event.message(5, &summary))
    }

    fn record(&mut self, message: &Message) -> io::Result<()> {
        let length = (message.0.len() as u64).to_le_bytes();
        self.to.write_all(&length)?;
        self.to.write_all(&masked(crc32c(&length)).to_le_bytes())?;
        self.to.write_all(&message.0)?;
        self.to.write_all(&masked(crc32c(&message.0)).to_le_bytes())
    }
}

/// CRC-32C, the polynomial of Castagnoli, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let low = (crc ^ u32::from(*byte)) & 0xff;
        let folded = (0..8).fold(low, |c, _| {
            c >> 1 ^ if c & 1 == 1 { 0x82f6_3b78 } else { 0 }
        });
        crc >> 8 ^ folded
    };
    !bytes.iter().fold(!0, step)
}

/// A checksum as TensorFlow's records hold it: turned and shifted.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// The file that `tests/interop/read_events.py` reads with TensorBoard's own reader.
    #[test]
    fn a_file_has_the_bytes_that_tensorboard_reads() {
        let mut file = Records::new(Vec::new(), 1_700_000_000.0).unwrap();
        let texts = [Value::text("model", &indented("layer  output\nfc     [2]"))];
        file.summary(1_700_000_000.5, 0, &texts).unwrap();
        for step in [1, 2, 300] {
            let values = [
                Value::scalar("train/loss", 1.0 / step as f64),
                Value::scalar("train/learning_rate", 1e-3),
            ];
            file.summary(1_700_000_001.0, step, &values).unwrap();
        }
        let weights: Vec<f32> = (0..100).map(|i| i as f32 / 99.0).collect();
        let values = [
            Value::histogram("weights/fc", &weights),
            Value::histogram("weights/same", &[2.0, 2.0, f32::NAN]),
            Value::histogram("gradients/fc", &[-0.5, 0.0, 0.25]),
        ];
        file.summary(1_700_000_002.0, 300, &values).unwrap();
        file.goes_on(1_700_000_003.0, 2).unwrap();
        let again = [Value::scalar("train/loss", 0.25)];
        file.summary(1_700_000_004.0, 3, &again).unwrap();
        let path = "tests/fixtures/tensorboard/events.out.tfevents.0.fixture";
        if std::env::var_os("WGRAD_WRITE_FIXTURES").is_some() {
            std::fs::create_dir_all("tests/fixtures/tensorboard").unwrap();
            std::fs::write(path, &file.to).unwrap();
        }
        assert!(file.to == std::fs::read(path).unwrap());
    }
}
