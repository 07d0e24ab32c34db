//! Poisoned memory finds operators that read what nobody wrote, or read or write beside their values.

use crate::common::{cpu, gpu, gpu_hardware_kernels, lockstep, poisoned};
use wgrad::caps::Caps;
use wgrad::error::{Error, Result, Site};
use wgrad::kernel::{Buf, Dispatch, Kernels};
use wgrad::op::{CpuIo, GpuIo, OpDef};
use wgrad::{Array, Mode, Params, Session, TensorType};

/// Twice its input.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Twice {
    Sound,
    /// The second half is not written.
    LeavesHalf,
    /// The word behind the input is read, and added to the last: without a mark it is mostly 0.
    ReadsBeside,
    /// The word behind the output is written.
    WritesBeside,
}

const ALL: [Twice; 4] = [
    Twice::Sound,
    Twice::LeavesHalf,
    Twice::ReadsBeside,
    Twice::WritesBeside,
];

const WGSL: &str = "
override THREADS: u32 = 64u;

struct Params {
    n: u32,
    fault: u32,
    map: array<vec4<u32>, MAP>,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let end = select(p.n, p.n / 2u, p.fault == 1u);
    for (var i = id.x; i < end; i += groups.x * THREADS) {
        var y = 2.0 * x[i];
        if (p.fault == 2u && i == p.n - 1u) {
            y += x[p.n];
        }
        epilogue(i, y);
        if (p.fault == 3u && i == p.n - 1u) {
            epilogue(p.n, 1.0);
        }
    }
}
";

impl OpDef for Twice {
    fn name(&self) -> &'static str {
        "twice"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(inputs.to_vec())
    }

    fn cpu(&self, io: &mut CpuIo) -> Result<()> {
        let (x, y) = (io.input::<f32>(0), io.output::<f32>(0));
        let n = x.len();
        let end = if *self == Self::LeavesHalf { n / 2 } else { n };
        for (y, x) in y.iter_mut().zip(x).take(end) {
            *y = 2.0 * x;
        }
        match self {
            // SAFETY: poisoned memory has words behind every value.
            Self::ReadsBeside => y[n - 1] += unsafe { x.as_ptr().add(n).read() },
            // SAFETY: the same.
            Self::WritesBeside => unsafe { y.as_mut_ptr().add(n).write(1.0) },
            _ => {}
        }
        Ok(())
    }

    fn gpu(&self, io: &GpuIo, _: &Caps) -> Result<Kernels> {
        let n = io.inputs[0].shape.numel();
        let fault = ALL.iter().position(|f| f == self).unwrap_or(0);
        let dispatch = Dispatch::new("twice", WGSL)
            .read(Buf::Input(0))
            .sizes([n, fault])
            .constant("THREADS", 64u32)
            .grid([1, 1, 1]);
        let none = || Error::Device("twice: no kernel".into());
        Ok(io.with_epilogue(dispatch, 1).ok_or_else(none)?.into())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Twice `n` numbers, which lie among the arguments or in a page; what is wrong with it.
fn fault(session: &mut Session, twice: Twice, n: usize, in_a_page: bool) -> Option<String> {
    let types = [TensorType::f32([n])];
    let mut f = session
        .compile(Mode::Eval, &types, |_, a| {
            let x = match in_a_page {
                true => a[0].cumsum(0),
                false => a[0].clone(),
            };
            vec![x.apply(twice, &[], Site::here())]
        })
        .unwrap();
    let x = Array::vector(vec![1.0f32; n]);
    // what a run leaves behind is not what the next one finds
    let runs = [0; 2].map(|_| session.run(&mut f, &[&x]));
    session.forget(f);
    for run in runs {
        let y = match run {
            Ok(y) => y[0].to_f32(),
            Err(error) => return Some(error.to_string()),
        };
        let want = |i: usize| if in_a_page { 2.0 * (i + 1) as f32 } else { 2.0 };
        if let Some(i) = (0..n).find(|&i| y[i] != want(i)) {
            return Some(format!("element {i} is {}", y[i]));
        }
    }
    None
}

#[test]
fn what_reads_or_writes_beside_its_values_is_found() {
    for pass in [cpu(), gpu(), gpu_hardware_kernels(), lockstep()].map(poisoned) {
        let Some(mut session) = pass.open(&Params::new(0)) else {
            continue;
        };
        // at the edges of vectors and of the alignment of regions
        for n in [3, 4, 63, 64, 65, 1000] {
            for in_a_page in [false, true] {
                for twice in ALL {
                    let found = fault(&mut session, twice, n, in_a_page);
                    let (name, sound) = (pass.name, twice == Twice::Sound);
                    assert_eq!(
                        found.is_none(),
                        sound,
                        "{name}, {twice:?} of {n}, in a page: {in_a_page}: {found:?}"
                    );
                    let written = found.is_some_and(|f| f.contains("in no region of the plan"));
                    assert_eq!(
                        written,
                        twice == Twice::WritesBeside,
                        "{name}, {twice:?} of {n}"
                    );
                }
            }
        }
    }
}
