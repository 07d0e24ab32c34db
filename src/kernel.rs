//! Dispatches: a shader with what is bound to it, as plain data.

use std::borrow::Cow;

/// What a kernel reads or writes, as the step that it belongs to knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buf {
    /// The operator's `n`-th input.
    Input(usize),
    /// The `n`-th operand of the prologue.
    Prologue(usize),
    /// The `n`-th operand of the epilogue.
    Epilogue(usize),
    /// The step's `n`-th output.
    Output(usize),
    /// The `n`-th scratch buffer.
    Scratch(usize),
}

/// A storage buffer of a kernel, at the binding after those before it; binding 0 is the uniform block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    /// What is bound.
    pub buf: Buf,
    /// Whether the kernel writes it.
    pub write: bool,
    /// What of it is bound; all where nothing is said.
    pub part: Option<Part>,
}

/// A part of what a [`Buf`] stands for, in words; it begins at a multiple of 256 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// First word.
    pub offset: usize,
    /// Number of words.
    pub len: usize,
}

impl Binding {
    /// All of `buf`.
    pub fn whole(buf: Buf, write: bool) -> Self {
        Self {
            buf,
            write,
            part: None,
        }
    }
}

/// One kernel launch.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Stem of the shader's file.
    pub shader: &'static str,
    /// The file's text.
    pub source: Cow<'static, str>,
    /// Declarations put before and after the text: `alias`es, bindings, functions.
    pub generated: String,
    /// Values of the shader's `override`s.
    pub overrides: Vec<(&'static str, f64)>,
    /// Storage buffers, bound from 1 on.
    pub bindings: Vec<Binding>,
    /// The uniform block at binding 0, in words: the shader's `Params`, then what generated code needs.
    pub words: Vec<u32>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
    /// The first size that was too large for a word, if any was: such a kernel is not launched.
    pub oversize: Option<usize>,
}

impl Dispatch {
    /// A launch of the shader `stem` with the text `source`.
    pub fn new(stem: &'static str, source: impl Into<Cow<'static, str>>) -> Self {
        Self {
            shader: stem,
            source: source.into(),
            generated: String::new(),
            overrides: Vec::new(),
            bindings: Vec::new(),
            words: Vec::new(),
            grid: [1; 3],
            oversize: None,
        }
    }

    /// Bind `buf` for reading at the next binding.
    pub fn read(mut self, buf: Buf) -> Self {
        self.bindings.push(Binding::whole(buf, false));
        self
    }

    /// Bind `buf` for writing at the next binding.
    pub fn write(mut self, buf: Buf) -> Self {
        self.bindings.push(Binding::whole(buf, true));
        self
    }

    /// Append words to the uniform block.
    pub fn words(mut self, words: impl IntoIterator<Item = u32>) -> Self {
        self.words.extend(words);
        self
    }

    /// Append sizes to the uniform block.
    pub fn sizes(mut self, sizes: impl IntoIterator<Item = usize>) -> Self {
        for size in sizes {
            let word = u32::try_from(size).ok();
            self.oversize = self.oversize.or(word.is_none().then_some(size));
            self.words.push(word.unwrap_or(u32::MAX));
        }
        self
    }

    /// Set an `override`.
    pub fn constant(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.overrides.push((name, value.into()));
        self
    }

    /// Set the grid.
    pub fn grid(mut self, grid: [u32; 3]) -> Self {
        self.grid = grid;
        self
    }

    /// The complete module.
    pub fn wgsl(&self) -> String {
        format!("{}\n{}", self.source, self.generated)
    }
}

/// The kernels of a step and the scratch memory that they need, in words a buffer.
#[derive(Debug, Clone, Default)]
pub struct Kernels {
    /// Launches in order.
    pub dispatches: Vec<Dispatch>,
    /// Words of each scratch buffer.
    pub scratch: Vec<usize>,
}

impl From<Dispatch> for Kernels {
    fn from(dispatch: Dispatch) -> Self {
        Self {
            dispatches: vec![dispatch],
            scratch: Vec::new(),
        }
    }
}
