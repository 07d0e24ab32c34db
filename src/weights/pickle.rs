//! Python's pickles as data: nothing is called, and what is not plain data or a tensor is refused by its name.

use super::torch::{Storage, Tensor};

/// Most values that a pickle may make.
const MAX_VALUES: usize = 5_000_000;
/// Bytes that what a pickle makes may take, for each of its own and besides: that of a state_dict makes some four of one.
const MOST_MADE: (usize, usize) = (24, 1 << 16);
/// Longest name of a class or a function.
const MAX_GLOBAL: usize = 256;
/// Most tuples and lists that are open at once.
const MAX_MARKS: usize = 10_000;
/// Most arguments of a call.
const MAX_ARGUMENTS: usize = 16;

/// A value; what has parts lies in the [`Heap`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// `None`, and what is of no use here: bytes, devices.
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Index of a text.
    Text(usize),
    /// Index of a tuple or a list.
    List(usize),
    /// Index of a dictionary.
    Dict(usize),
    /// Index of a name, `module.name`.
    Global(usize),
    /// Index of a storage.
    Storage(usize),
    /// Index of a tensor.
    Tensor(usize),
}

/// What values point to.
#[derive(Debug, Default)]
pub(super) struct Heap {
    pub texts: Vec<String>,
    pub lists: Vec<Vec<Value>>,
    pub dicts: Vec<Vec<(Value, Value)>>,
    pub storages: Vec<Storage>,
    pub tensors: Vec<Tensor>,
}

/// What is wrong, and at which byte of the pickle.
pub(super) type Fault = (usize, String);

/// Reads a pickle of protocols 2 to 5.
///
/// # Errors
/// The byte and what is wrong there: an opcode that is not known, a class or function that is not one of PyTorch's for
/// tensors, with its name, a pickle that ends too early or whose values do not fit together.
pub(super) fn read(bytes: &[u8]) -> Result<(Heap, Value), Fault> {
    let mut machine = Machine {
        bytes,
        at: 0,
        heap: Heap::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        made: 0,
        room: MOST_MADE
            .0
            .saturating_mul(bytes.len())
            .saturating_add(MOST_MADE.1),
    };
    loop {
        let at = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(value)) => return Ok((machine.heap, value)),
            Err(message) => return Err((at, message)),
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    heap: Heap,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
    made: usize,
    /// Bytes that may still be made.
    room: usize,
}

impl<'a> Machine<'a> {
    /// One opcode; the result, where it is the last.
    fn step(&mut self) -> Result<Option<Value>, String> {
        let op = self.take(1)?[0];
        match op {
            0x80 => {
                let protocol = self.take(1)?[0];
                if !(2..=5).contains(&protocol) {
                    return Err(format!("a pickle of protocol {protocol}, expected 2 to 5"));
                }
            }
            // FRAME: a hint for readers of streams
            0x95 => drop(self.take(8)?),
            b'.' => {
                let value = self.pop()?;
                return Ok(Some(value));
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => self.number::<1>(|n| n as i64)?,
            b'M' => self.number::<2>(|n| n as i64)?,
            b'J' => self.number::<4>(|n| i64::from(n as u32 as i32))?,
            0x8a => self.long()?,
            b'G' => {
                let mut bits = [0; 8];
                bits.copy_from_slice(self.take(8)?);
                self.push(Value::Float(f64::from_be_bytes(bits)))?;
            }
            0x8c | b'U' => self.text::<1>()?,
            b'X' | b'T' => self.text::<4>()?,
            0x8d => self.text::<8>()?,
            // bytes: kept as nothing
            b'C' => self.bytes::<1>()?,
            b'B' => self.bytes::<4>()?,
            0x8e | 0x96 => self.bytes::<8>()?,
            b'(' => {
                if self.marks.len() == MAX_MARKS {
                    return Err("a pickle nested too deeply".to_owned());
                }
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.above()?),
            b'2' => {
                let top = *self.stack.last().ok_or(EMPTY)?;
                self.push(top)?;
            }
            b')' | b']' => self.list(Vec::new())?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' | b'l' => {
                let values = self.above()?;
                self.list(values)?;
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])?;
            }
            b'e' => {
                let values = self.above()?;
                self.append(values)?;
            }
            b'}' => self.dict(Vec::new())?,
            b'd' => {
                let values = self.above()?;
                self.dict(pairs(&values)?)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![(key, value)])?;
            }
            b'u' => {
                let values = self.above()?;
                self.set(pairs(&values)?)?;
            }
            b'q' => self.put::<1>()?,
            b'r' => self.put::<4>()?,
            0x94 => self.remember(self.memo.len())?,
            b'h' => self.get::<1>()?,
            b'j' => self.get::<4>()?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(m), Value::Text(n)) = (module, name) else {
                    return Err("a class whose name is no text".to_owned());
                };
                let long = |text: usize| self.heap.texts[text].len() > MAX_GLOBAL;
                if long(m) || long(n) {
                    return Err("a class whose name is too long".to_owned());
                }
                let (module, name) = (self.heap.texts[m].clone(), self.heap.texts[n].clone());
                self.global(&module, &name)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = Storage::of(&self.heap, id)?;
                self.spend(size_of::<Storage>())?;
                self.heap.storages.push(storage);
                self.push(Value::Storage(self.heap.storages.len() - 1))?;
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let value = self.call(callee, arguments)?;
                self.push(value)?;
            }
            // BUILD: attributes beside the entries (`_metadata`), of no use here
            b'b' => {
                self.pop()?;
                let Some(Value::Dict(_) | Value::Tensor(_)) = self.stack.last() else {
                    return Err("attributes for what is neither a dictionary nor a tensor".into());
                };
            }
            _ => {
                return Err(format!(
                    "pickle opcode {:?} (0x{op:02x}) is not one that a state_dict needs: refused",
                    char::from(op)
                ));
            }
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count);
        let bytes = end
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or("the pickle ends too early")?;
        self.at += count;
        Ok(bytes)
    }

    fn unsigned<const N: usize>(&mut self) -> Result<u64, String> {
        let bytes = self.take(N)?;
        Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn count(&mut self, values: usize) -> Result<(), String> {
        self.made += values;
        if self.made > MAX_VALUES {
            return Err(format!("a pickle of more than {MAX_VALUES} values"));
        }
        Ok(())
    }

    /// Accounts for memory that is to be taken: one piece of a pickle may be named by many others.
    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.room = self
            .room
            .checked_sub(bytes)
            .ok_or("a pickle that makes far more than its size")?;
        Ok(())
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        self.count(1)?;
        self.spend(size_of::<Value>())?;
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(EMPTY.to_owned());
        }
        self.stack.pop().ok_or_else(|| EMPTY.to_owned())
    }

    /// What lies above the last mark.
    fn above(&mut self) -> Result<Vec<Value>, String> {
        let mark = self
            .marks
            .pop()
            .ok_or("the pickle closes what is not open")?;
        Ok(self.stack.drain(mark..).collect())
    }

    fn number<const N: usize>(&mut self, f: impl Fn(u64) -> i64) -> Result<(), String> {
        let n = self.unsigned::<N>()?;
        self.push(Value::Int(f(n)))
    }

    /// An integer of any length; those beyond 64 bits, random states, are kept as nothing.
    fn long(&mut self) -> Result<(), String> {
        let len = self.unsigned::<1>()? as usize;
        let bytes = self.take(len)?;
        if len > 8 {
            return self.push(Value::None);
        }
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut all = [if negative { 0xff } else { 0 }; 8];
        all[..len].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(all)))
    }

    fn text<const N: usize>(&mut self) -> Result<(), String> {
        let len = self.unsigned::<N>()?;
        let bytes = self.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        let text = std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8")?;
        self.spend(size_of::<String>() + text.len())?;
        self.heap.texts.push(text.to_owned());
        self.push(Value::Text(self.heap.texts.len() - 1))
    }

    fn bytes<const N: usize>(&mut self) -> Result<(), String> {
        let len = self.unsigned::<N>()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        self.push(Value::None)
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|b| *b == b'\n');
        let line = &rest[..end.ok_or("the pickle ends too early")?];
        if line.len() > MAX_GLOBAL {
            return Err("a class whose name is too long".to_owned());
        }
        self.at += line.len() + 1;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    fn list(&mut self, values: Vec<Value>) -> Result<(), String> {
        self.spend(size_of::<Vec<Value>>() + size_of_val(&values[..]))?;
        self.heap.lists.push(values);
        self.push(Value::List(self.heap.lists.len() - 1))
    }

    fn dict(&mut self, entries: Vec<(Value, Value)>) -> Result<(), String> {
        self.spend(size_of::<Vec<Value>>() + size_of_val(&entries[..]))?;
        self.heap.dicts.push(entries);
        self.push(Value::Dict(self.heap.dicts.len() - 1))
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.pop()?);
        }
        values.reverse();
        self.list(values)
    }

    fn append(&mut self, values: Vec<Value>) -> Result<(), String> {
        match self.stack.last() {
            Some(Value::List(list)) => self.heap.lists[*list].extend(&values),
            _ => return Err("items for what is no list".to_owned()),
        }
        self.spend(size_of_val(&values[..]))
    }

    fn set(&mut self, entries: Vec<(Value, Value)>) -> Result<(), String> {
        match self.stack.last() {
            Some(Value::Dict(dict)) => self.heap.dicts[*dict].extend(&entries),
            _ => return Err("entries for what is no dictionary".to_owned()),
        }
        self.spend(size_of_val(&entries[..]))
    }

    fn put<const N: usize>(&mut self) -> Result<(), String> {
        let at = self.unsigned::<N>()? as usize;
        self.remember(at)
    }

    /// The memo has at most a place for each byte of the pickle.
    fn remember(&mut self, at: usize) -> Result<(), String> {
        if at >= self.bytes.len().min(MAX_VALUES) {
            return Err(format!("a memo of {at} values in so short a pickle"));
        }
        let top = *self.stack.last().ok_or(EMPTY)?;
        if self.memo.len() <= at {
            self.memo.resize(at + 1, None);
        }
        self.memo[at] = Some(top);
        Ok(())
    }

    fn get<const N: usize>(&mut self) -> Result<(), String> {
        let at = self.unsigned::<N>()? as usize;
        let value = self.memo.get(at).copied().flatten();
        self.push(value.ok_or_else(|| format!("memo {at} is empty"))?)
    }

    /// A class or function by name: one of those that a state_dict needs, each of which [`Machine::call`] and
    /// [`Storage::of`] know.
    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let full = format!("{module}.{name}");
        let known = CALLS.contains(&full.as_str()) || Storage::dtype(&full).is_some();
        if !known && !CONSTANTS.contains(&full.as_str()) {
            let hint = match module {
                "torch" | "torch._utils" | "collections" => "",
                _ => ": save the model's state_dict(), which holds nothing but tensors",
            };
            return Err(format!(
                "refused to load {full}, nothing of a pickle is executed{hint}"
            ));
        }
        self.spend(size_of::<String>() + full.len())?;
        self.heap.texts.push(full);
        self.push(Value::Global(self.heap.texts.len() - 1))
    }

    fn call(&mut self, callee: Value, arguments: Value) -> Result<Value, String> {
        let (Value::Global(callee), Value::List(arguments)) = (callee, arguments) else {
            return Err("a call of what is no function".to_owned());
        };
        let name = self.heap.texts[callee].clone();
        if self.heap.lists[arguments].len() > MAX_ARGUMENTS {
            return Err(format!("a call of {name} with too many arguments"));
        }
        let arguments = self.heap.lists[arguments].clone();
        match (name.as_str(), &arguments[..]) {
            ("collections.OrderedDict", []) => {
                self.spend(size_of::<Vec<Value>>())?;
                self.heap.dicts.push(Vec::new());
                Ok(Value::Dict(self.heap.dicts.len() - 1))
            }
            // a list of pairs, as Python 2 wrote
            ("collections.OrderedDict", [Value::List(list)]) => {
                self.count(self.heap.lists[*list].len())?;
                self.spend(size_of_val(&self.heap.lists[*list][..]) * 2)?;
                let pair = |value: &Value| match value {
                    Value::List(pair) => match self.heap.lists[*pair][..] {
                        [key, value] => Some((key, value)),
                        _ => None,
                    },
                    _ => None,
                };
                let pairs: Option<Vec<_>> = self.heap.lists[*list].iter().map(pair).collect();
                self.heap
                    .dicts
                    .push(pairs.ok_or("an OrderedDict of what are no pairs")?);
                Ok(Value::Dict(self.heap.dicts.len() - 1))
            }
            ("torch.Size", [Value::List(list)]) => Ok(Value::List(*list)),
            ("torch.device", _) => Ok(Value::None),
            (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                [tensor @ Value::Tensor(_), ..],
            ) => Ok(*tensor),
            ("torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor", _) => {
                let tensor = Tensor::of(&self.heap, &arguments)?;
                self.spend(tensor.held())?;
                self.heap.tensors.push(tensor);
                Ok(Value::Tensor(self.heap.tensors.len() - 1))
            }
            _ => Err(format!("refused to call {name} with these arguments")),
        }
    }
}

const EMPTY: &str = "the pickle takes a value that is not there";

/// What may be called.
const CALLS: &[&str] = &[
    "collections.OrderedDict",
    "torch.Size",
    "torch.device",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
];

/// What may be named as a value.
const CONSTANTS: &[&str] = &[
    "torch.bfloat16",
    "torch.bool",
    "torch.float16",
    "torch.float32",
    "torch.float64",
    "torch.int32",
    "torch.int64",
];

fn pairs(values: &[Value]) -> Result<Vec<(Value, Value)>, String> {
    if !values.len().is_multiple_of(2) {
        return Err("a dictionary with a key without a value".to_owned());
    }
    Ok(values.chunks(2).map(|p| (p[0], p[1])).collect())
}
