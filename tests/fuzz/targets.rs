//! Everything that reads bytes which others wrote, a target each: a file of any content is read or is an error that names
//! it, soon, without a panic, and in memory that is in proportion to it. The same targets run under libFuzzer (`fuzz/`).

use crate::alloc;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wgrad::data::{CsvOptions, ImageDataset, Table, Texts, Values, conllu, idx};
use wgrad::weights::Reader;
use wgrad::{Error, Result};

/// Reads the file at a path.
pub type Read = fn(&Path) -> Result<()>;

/// A reader of one format, or several readers of it.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of the folder of its seeds.
    pub name: &'static str,
    /// The name of a file, in the folders that the format wants around it.
    pub file: &'static str,
    pub reads: &'static [Read],
    /// Most bytes that a reader holds for each byte of the file.
    pub ratio: usize,
    /// Bytes that a reader may hold whatever the size of the file.
    pub floor: usize,
    /// Whether files may be gzipped.
    pub gzip: bool,
    /// Further whole files, or folders of them, in `tests/fixtures`.
    pub fixtures: &'static [&'static str],
    /// Writes the files that belong beside it into its folder.
    pub beside: fn(&Path),
    /// Files that are made when they are wanted.
    pub made: fn(&Target) -> Vec<Vec<u8>>,
}

/// What the tokenizers crate holds of a file of short tokens: each in two hash tables, in a trie with a table for each byte too where
/// the model is Unigram. It cannot be had with less; [`wgrad::text::Tokenizer::from_file`] keeps all else in proportion.
#[cfg(feature = "text")]
const TOKENS: usize = 320;
/// What a reader takes of any file: its buffers (64 KiB of a chunk, 64 KiB of a reader, the state of inflate) and messages.
const BUFFERS: usize = 256 << 10;
/// For formats that pack: deflate makes up to 1032 bytes of one, runs of Parquet as many as they like. The readers stop where
/// a file makes more than 64 times its size and 64 MiB, which are then held as they come in a buffer that doubles, as a
/// text, and as a table.
const PACKED: usize = 4 * (64 << 20);
/// The cells of a small table of JSON lines, most of which may be empty: a million.
const EMPTY: usize = 32 << 20;
/// The automata of regular expressions: those of the crate, and one that a file may bring with it.
#[cfg(feature = "text")]
const MACHINES: usize = 16 << 20;
/// The longest that a file of some kilobytes may take, on a busy machine.
const SLOW: Duration = Duration::from_secs(20);

/// One without readers, to begin with.
pub const PLAIN: Target = Target {
    name: "",
    file: "file",
    reads: &[],
    ratio: 64,
    floor: BUFFERS,
    gzip: false,
    fixtures: &[],
    beside: |_| (),
    made: |_| Vec::new(),
};

/// All of them.
pub fn targets() -> Vec<Target> {
    let of = |name, reads| Target {
        name,
        reads,
        ..PLAIN
    };
    #[allow(unused_mut, reason = "without features there are no others")]
    let mut all = vec![
        Target {
            fixtures: &[
                "dtypes.safetensors",
                "refused.safetensors",
                "guides/by_wgrad.safetensors",
            ],
            ..of("safetensors", &[weights])
        },
        Target {
            fixtures: &["torch", "guides/net.pt"],
            ..of("torch", &[weights])
        },
        Target {
            file: "model.safetensors.index.json",
            beside: |folder| {
                for (file, name) in [("one.safetensors", "a"), ("two.safetensors", "b")] {
                    let tensors = [(name.to_owned(), wgrad::Array::zeros([2]))];
                    wgrad::weights::write(folder.join(file), &tensors, &Default::default())
                        .unwrap();
                }
            },
            ..of("index", &[weights])
        },
        Target {
            gzip: true,
            ..of("idx", &[read_idx, images, labels])
        },
        Target {
            gzip: true,
            ..of("cifar", &[cifar])
        },
        Target {
            gzip: true,
            ..of(
                "csv",
                &[csv, csv_without_header, csv_windows, csv_utf16, tsv],
            )
        },
        Target {
            gzip: true,
            floor: EMPTY,
            ..of("json", &[json_lines])
        },
        Target {
            file: "class/text.txt",
            gzip: true,
            ..of("lines", &[lines, lines_windows, folders])
        },
        Target {
            gzip: true,
            ..of("conllu", &[read_conllu])
        },
    ];
    #[cfg(feature = "image")]
    for (name, file) in [("png", "class/a.png"), ("jpeg", "class/a.jpg")] {
        all.push(Target {
            file,
            floor: PACKED,
            fixtures: if name == "png" {
                &["images/circle"]
            } else {
                &[]
            },
            ..of(name, &[image])
        });
    }
    #[cfg(feature = "parquet")]
    all.push(Target {
        floor: PACKED,
        fixtures: &["rows.parquet", "list.parquet"],
        ..of("parquet", &[parquet])
    });
    #[cfg(feature = "text")]
    all.extend([
        Target {
            ratio: TOKENS,
            floor: MACHINES,
            fixtures: &["text/bert_cased.json", "text/bpe.json"],
            ..of("tokenizer", &[tokenizer])
        },
        of("vocab", &[vocab]),
    ]);
    #[cfg(feature = "train")]
    all.extend(crate::trained::targets());
    all
}

/// The target of that name.
pub fn target(name: &str) -> Target {
    let found = targets().into_iter().find(|t| t.name == name);
    found.unwrap_or_else(|| panic!("no target {name}"))
}

thread_local! {
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

impl Target {
    /// The whole files that damaged ones are made of, in an order that stays: those below `tests/fuzz/seeds`, of
    /// `tests/fixtures`, and what is made.
    pub fn seeds(&self, tests: &Path) -> Vec<Vec<u8>> {
        let mut paths = vec![tests.join("fuzz/seeds").join(self.name)];
        paths.extend(self.fixtures.iter().map(|f| tests.join("fixtures").join(f)));
        let mut files: Vec<PathBuf> = Vec::new();
        for path in paths {
            match std::fs::read_dir(&path) {
                Ok(entries) => files.extend(entries.map(|e| e.unwrap().path())),
                Err(_) if path.is_file() => files.push(path),
                Err(_) => {}
            }
        }
        files.sort();
        let mut all: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
        all.extend((self.made)(self));
        all
    }

    /// Where the file lies, with what belongs beside it.
    pub fn path(&self) -> PathBuf {
        let path = FOLDER.with_borrow_mut(|folder| {
            let folder = folder.get_or_insert_with(|| tempfile::tempdir().unwrap());
            folder.path().join(self.name).join(self.file)
        });
        let parent = path.parent().unwrap();
        if !parent.is_dir() {
            std::fs::create_dir_all(parent).unwrap();
            (self.beside)(parent);
        }
        path
    }

    /// Read a file of these bytes with every reader; how many read it.
    ///
    /// # Panics
    /// Where a reader does what none may do.
    pub fn check(&self, bytes: &[u8]) -> usize {
        let path = self.path();
        let mut whole = 0;
        for (k, read) in self.reads.iter().enumerate() {
            std::fs::write(&path, bytes).unwrap();
            let start = Instant::now();
            let (result, peak) = alloc::peak(|| read(&path));
            let floor = match self.gzip && bytes.starts_with(&[0x1f, 0x8b]) {
                true => PACKED,
                false => self.floor,
            };
            let (took, most) = (start.elapsed(), self.ratio * bytes.len() + floor);
            let name = self.name;
            assert!(took < SLOW, "{name}, reader {k}: took {took:?}");
            assert!(
                peak <= most,
                "{name}, reader {k}: held {peak} bytes for a file of {}, at most {most}",
                bytes.len()
            );
            match result {
                Ok(()) => whole += 1,
                Err(error) => named(name, &error, &path),
            }
        }
        whole
    }
}

/// An error of a file says which file, and what is wrong with it.
fn named(target: &str, error: &Error, path: &Path) {
    let known = matches!(
        error,
        Error::File { .. }
            | Error::Line { .. }
            | Error::Io { .. }
            | Error::OutOfMemory(_)
            | Error::Checkpoint { .. }
            // a checkpoint that is whole, of another training
            | Error::Argument(_)
    );
    let message = error.to_string();
    // an index names its shards, a folder of images its files
    let folder = path.parent().unwrap().display().to_string();
    assert!(
        known && message.contains(&folder),
        "{target}: {error:?} does not name {}",
        path.display()
    );
    if let Error::File { message, .. } | Error::Line { message, .. } = error {
        let bytes = message.len();
        assert!(bytes < 4096, "{target}: {bytes} bytes of message");
    }
}

fn weights(path: &Path) -> Result<()> {
    let reader = Reader::open(path)?;
    for name in reader.names() {
        let (shape, dtype) = (reader.shape(name), reader.dtype(name));
        let (shape, dtype) = (shape.unwrap().to_string(), dtype.unwrap());
        let _ = (shape, dtype, reader.bytes(name).unwrap());
        if let Ok(values) = reader.read_f64(name) {
            drop(values);
        }
    }
    let all = reader.read_all()?;
    for (_, array) in &all {
        // as it is shown to a person
        let _ = format!("{array:?} {array}");
    }
    Ok(())
}

fn read_idx(path: &Path) -> Result<()> {
    let bytes = idx::read(path)?;
    assert_eq!(bytes.shape().numel(), bytes.data().len());
    Ok(())
}

fn images(path: &Path) -> Result<()> {
    idx::read_images(path).map(drop)
}

fn labels(path: &Path) -> Result<()> {
    idx::read_labels(path).map(drop)
}

fn cifar(path: &Path) -> Result<()> {
    ImageDataset::cifar10_files(&[path]).map(drop)
}

/// What is done with a table; that cells are missing is no fault of the file.
fn look(table: &Table) -> Result<()> {
    // a column is looked up among all
    for column in table.columns().iter().take(64) {
        let categories = table.categories(&column.name)?;
        match &column.values {
            Values::Number(cells) => {
                assert_eq!(cells.len(), table.len());
                let _ = table.numbers(&column.name);
            }
            Values::Text(cells) => {
                assert_eq!(cells.len(), table.len());
                let _ = table.texts(&column.name);
            }
        }
        let _ = table.labels(&column.name, &categories);
    }
    Ok(())
}

fn csv_as(path: &Path, encoding: &str, header: bool) -> Result<()> {
    let options = CsvOptions {
        encoding: encoding.to_owned(),
        header,
        ..CsvOptions::default()
    };
    look(&Table::csv(path, &options)?)
}

fn csv(path: &Path) -> Result<()> {
    csv_as(path, "utf-8", true)
}

fn csv_without_header(path: &Path) -> Result<()> {
    csv_as(path, "utf-8", false)
}

fn csv_windows(path: &Path) -> Result<()> {
    csv_as(path, "windows-1252", true)
}

fn csv_utf16(path: &Path) -> Result<()> {
    csv_as(path, "utf-16le", true)
}

fn tsv(path: &Path) -> Result<()> {
    look(&Table::csv(path, &CsvOptions::tsv())?)
}

fn json_lines(path: &Path) -> Result<()> {
    look(&Table::json_lines(path)?)
}

fn lines(path: &Path) -> Result<()> {
    Texts::lines(&[path], "utf-8").map(drop)
}

fn lines_windows(path: &Path) -> Result<()> {
    Texts::lines(&[path], "windows-1252").map(drop)
}

fn folders(path: &Path) -> Result<()> {
    Texts::folders(root(path), "utf-8").map(drop)
}

/// The folder of the folder of a class.
fn root(path: &Path) -> &Path {
    path.parent().and_then(Path::parent).unwrap()
}

fn read_conllu(path: &Path) -> Result<()> {
    for sentence in conllu::read(path)? {
        assert_eq!(sentence.forms.len(), sentence.tags.len());
    }
    Ok(())
}

#[cfg(feature = "image")]
fn image(path: &Path) -> Result<()> {
    use wgrad::data::Dataset;
    ImageDataset::folder(root(path), [4, 4])?
        .sample(0, 0)
        .map(drop)
}

#[cfg(feature = "parquet")]
fn parquet(path: &Path) -> Result<()> {
    look(&Table::parquet(path)?)
}

#[cfg(feature = "text")]
fn tokenizer(path: &Path) -> Result<()> {
    let tokenizer = wgrad::text::Tokenizer::from_file(path)?;
    // what a file says about special tokens may not fit itself: that is said when it is used
    if let Ok(ids) = tokenizer.encode("the ab 12 abc.", None) {
        let _ = tokenizer.decode(&ids);
    }
    let _ = (tokenizer.vocab_size(), tokenizer.pad_id());
    Ok(())
}

#[cfg(feature = "text")]
fn vocab(path: &Path) -> Result<()> {
    let tokenizer = wgrad::text::Tokenizer::from_bert_vocab(path, true)?;
    let _ = tokenizer.encode("good goodly", Some(4));
    Ok(())
}
