//! Indices that are out of range: what compiling knows of them, and what the host sees in the arguments of a run.

use crate::common::cpu;
use wgrad::nn::{Embedding, Module};
use wgrad::{Array, DType, Error, Mode, Params, Result, Session, Tensor, TensorType, Trace};

/// An operator that takes integers `[n]`, its name, and what it calls them; those from 0 to 4 are in range.
pub type Taker = (&'static str, &'static str, fn(&Trace, &Tensor) -> Tensor);

pub fn table(g: &Trace) -> Tensor {
    g.constant(Array::new([5, 2], (0..10).map(|v| v as f32).collect::<Vec<_>>()).unwrap())
}

pub fn logits(g: &Trace, n: usize) -> Tensor {
    g.constant(Array::full([n, 5], 0.25f32))
}

pub const TAKERS: &[Taker] = &[
    ("embedding", "ids", |g, i| i.embedding(&table(g), None)),
    ("gather", "indices", |g, i| {
        let index = i.unsqueeze(-1).expand([i.numel(), 2]);
        table(g).gather(0, &index)
    }),
    ("index_select", "indices", |g, i| {
        table(g).index_select(0, i)
    }),
    ("index_select", "indices", |g, i| {
        table(g).t().index_select(1, i)
    }),
    ("index_add", "indices", |g, i| {
        table(g).index_add(0, i, &g.constant(Array::full([i.numel(), 2], 1.0f32)))
    }),
    ("scatter_add", "indices", |g, i| {
        let ones = g.constant(Array::full([2, i.numel()], 1.0f32));
        let index = i.unsqueeze(0).expand([2, i.numel()]);
        table(g).t().scatter_add(1, &index, &ones)
    }),
    ("cross_entropy", "class labels", |g, i| {
        logits(g, i.numel()).cross_entropy(i)
    }),
    ("nll_loss", "class labels", |g, i| {
        logits(g, i.numel()).log_softmax(1).nll_loss(i)
    }),
    ("one_hot", "classes", |_, i| i.one_hot(5)),
    ("length_mask", "lengths", |_, i| i.length_mask(4)),
];

fn compile(session: &mut Session, body: impl Fn(&Trace) -> Tensor + Send) -> Result<()> {
    let f = session.compile(Mode::Eval, &[], move |g, _| vec![body(g)])?;
    session.forget(f);
    Ok(())
}

#[track_caller]
pub fn refused(session: &mut Session, parts: &[&str], body: impl Fn(&Trace) -> Tensor + Send) {
    match compile(session, body) {
        Err(Error::Graph(misuse)) => {
            let text = misuse.to_string();
            for part in parts {
                assert!(text.contains(part), "no '{part}' in: {text}");
            }
        }
        other => panic!("{parts:?}: {other:?}"),
    }
}

#[test]
fn constants_are_known_to_compile() {
    let mut s = cpu().open(&Params::new(0)).unwrap();
    for &(op, what, take) in TAKERS {
        compile(&mut s, move |g| take(g, &g.arange(5))).unwrap();
        let message = format!("{op} takes {what} from 0 to 4, 5 came at element ");
        refused(&mut s, &[&message, "tests/suite/indices.rs"], move |g| {
            take(g, &g.arange(7))
        });
        let message = format!("{op} takes {what} from 0 to 4, -1 came at element ");
        refused(&mut s, &[&message], move |g| {
            take(g, &g.constant(Array::vector(vec![0, -1, 2])))
        });
    }
    // What is ignored is in no class.
    compile(&mut s, |g| {
        let labels = g.constant(Array::vector(vec![0, -100, 4]));
        logits(g, 3).cross_entropy(&labels)
    })
    .unwrap();
}

/// What follows from constants: by views, joins, arithmetic, choices, tables, floats.
#[test]
fn what_follows_from_constants_is_known_to_compile() {
    let mut s = cpu().open(&Params::new(0)).unwrap();
    type Row = (bool, fn(&Trace) -> Tensor);
    let rows: &[Row] = &[
        (true, |g| g.arange(9).narrow(0, 2, 3)),
        (false, |g| g.arange(9).narrow(0, 3, 3)),
        (true, |g| g.arange(9).slice(0, 0, 9, 2).div(&g.scalar(2))),
        (false, |g| g.arange(9).slice(0, 0, 9, 2)),
        (true, |g| g.arange(5).flip(&[0])),
        (false, |g| g.arange(6).reshape(&[2, 3]).t().flatten(0)),
        (false, |g| g.arange(5).add(&g.scalar(1))),
        (true, |g| {
            g.arange(5).sub(&g.scalar(2)).maximum(&g.scalar(0))
        }),
        (false, |g| g.arange(5).sub(&g.scalar(2))),
        (true, |g| Tensor::cat(&[&g.arange(3), &g.arange(5)], 0)),
        (false, |g| Tensor::cat(&[&g.arange(3), &g.arange(6)], 0)),
        (false, |g| {
            Tensor::stack(&[&g.arange(6), &g.arange(6)], 0).flatten(0)
        }),
        (true, |g| {
            g.arange(9).gt(4).where_(&g.scalar(4), &g.arange(9))
        }),
        (false, |g| {
            g.arange(9).lt(4).where_(&g.scalar(4), &g.arange(9))
        }),
        (true, |g| {
            g.arange(9).to_f32().mul_scalar(0.5).floor().to(DType::I32)
        }),
        (false, |g| {
            g.arange(9).to_f32().mul_scalar(0.75).floor().to(DType::I32)
        }),
        (false, |g| g.arange(9).index_select(0, &g.arange(9))),
        (true, |g| {
            g.arange(9)
                .one_hot(9)
                .argmax(1, false)
                .minimum(&g.scalar(4))
        }),
        (false, |g| g.arange(9).one_hot(9).argmax(1, false)),
        (false, |g| g.arange(4).sum(&[], true)),
        (true, |g| g.arange(5).amax(&[], true)),
        (false, |g| g.arange(5).neg()),
        (true, |g| g.arange(5).neg().abs()),
    ];
    for (k, &(fits, indices)) in rows.iter().enumerate() {
        let done = compile(&mut s, move |g| table(g).index_select(0, &indices(g)));
        assert_eq!(done.is_ok(), fits, "row {k}: {done:?}");
    }
}

/// What is wrong whatever the arguments are.
#[test]
fn what_no_argument_can_mend_is_refused() {
    let mut s = cpu().open(&Params::new(0)).unwrap();
    let f32s = [TensorType::f32([3, 4])];
    let shifted = |by: i32| {
        move |g: &Trace, a: &[Tensor]| {
            let best = a[0].argmax(1, false).add(&g.scalar(by));
            vec![table(g).index_select(0, &best)]
        }
    };
    let said = |r: Result<_>| r.map(|_: wgrad::Function| ()).unwrap_err().to_string();
    s.compile(Mode::Eval, &f32s, shifted(1)).unwrap();
    let error = said(s.compile(Mode::Eval, &f32s, shifted(5)));
    assert!(
        error.starts_with("index_select takes indices from 0 to 4, all that come are from 5 to 8"),
        "{error}"
    );
    // A part that is known, beside one that is not.
    let ids = [TensorType::i32([3])];
    let error = said(s.compile(Mode::Eval, &ids, |g, a| {
        let all = Tensor::cat(&[&a[0], &g.arange(7)], 0);
        vec![all.embedding(&table(g), None)]
    }));
    assert!(
        error.starts_with("embedding takes ids from 0 to 4, 5 came"),
        "{error}"
    );
}

/// A text that is longer than the table of positions, as models of the GPT kind have it; the path is in the message.
#[test]
fn positions_beyond_the_table() {
    let params = Params::new(0);
    let words = Embedding::new(11, 4).build(&params.at("wte"));
    let positions = Embedding::new(6, 4).build(&params.at("wpe"));
    let mut s = cpu().open(&params).unwrap();
    let mut f = s
        .compile(Mode::Eval, &[TensorType::i32([2, 6])], |g, a| {
            let at = g.arange(a[0].size(1));
            vec![words.forward(&a[0]).add(&positions.forward(&at))]
        })
        .unwrap();
    let text = |n: usize| Array::new([2, n], vec![3; 2 * n]).unwrap();
    s.run(&mut f, &[&text(6)]).unwrap();
    s.run(&mut f, &[&text(2)]).unwrap();
    let error = s.run(&mut f, &[&text(7)]).unwrap_err().to_string();
    assert!(
        error.starts_with("wpe: embedding takes ids from 0 to 5, 6 came at element 6"),
        "{error}"
    );
    s.run(&mut f, &[&text(6)]).unwrap();
}

/// What can be proven costs a run nothing.
#[test]
fn proofs_leave_no_check() {
    let mut s = cpu().open(&Params::new(0)).unwrap();
    type Row = (bool, fn(&Trace, &[Tensor]) -> Tensor);
    let rows: &[Row] = &[
        (true, |_, a| a[1].clone()),
        (true, |_, a| a[1].flip(&[0])),
        (true, |g, a| Tensor::cat(&[&a[1], &g.arange(3)], 0)),
        (true, |_, a| a[0].argmax(1, false)),
        (true, |g, a| a[0].argmax(1, false).add(&g.scalar(1))),
        (false, |g, a| a[0].argmax(1, false).add(&g.scalar(2))),
        (true, |g, a| {
            a[1].maximum(&g.scalar(0)).minimum(&g.scalar(4))
        }),
        (false, |g, a| a[1].minimum(&g.scalar(4))),
        (true, |_, a| a[1].gt(7).to(DType::I32)),
        (true, |g, a| a[1].gt(7).where_(&g.arange(3), &g.scalar(4))),
        (true, |_, a| a[1].argmin(0, true)),
        (true, |g, a| {
            g.arange(5)
                .index_select(0, &a[1].maximum(&g.scalar(0)).minimum(&g.scalar(4)))
        }),
        (false, |_, a| a[0].select(1, 0).to(DType::I32)),
        (false, |g, a| a[1].add(&g.scalar(0))),
    ];
    for (k, &(proven, indices)) in rows.iter().enumerate() {
        let types = [TensorType::f32([3, 4]), TensorType::i32([3])];
        let f = s.compile(Mode::Eval, &types, move |g, a| {
            vec![indices(g, a).embedding(&table(g), None)]
        });
        let f = f.unwrap();
        let results = f.plan().unwrap().outputs.len();
        assert_eq!(results, if proven { 1 } else { 2 }, "row {k}");
    }
    // What nobody needs is not looked at.
    let f = s.compile(Mode::Eval, &[TensorType::f32([3])], |g, a| {
        let _ = a[0].to(DType::I32).embedding(&table(g), None);
        vec![a[0].clone()]
    });
    assert_eq!(f.unwrap().plan().unwrap().outputs.len(), 1);
}

/// A part of an argument: its own elements count, and no others.
#[test]
fn a_part_of_an_argument_is_looked_at_alone() {
    let mut s = cpu().open(&Params::new(0)).unwrap();
    let mut f = s
        .compile(Mode::Eval, &[TensorType::i32([2, 3])], |g, a| {
            let ids = a[0].narrow(1, 0, 2);
            let labels = a[0].select(1, 2);
            let x = ids.embedding(&table(g), None).flatten(1);
            vec![x.pad(&[0, 96], 0.0).cross_entropy(&labels)]
        })
        .unwrap();
    let batch = |v: [i32; 6]| Array::new([2, 3], v.to_vec()).unwrap();
    s.run(&mut f, &[&batch([0, 4, 99, 1, 2, 5])]).unwrap();
    for (bad, message) in [
        (
            [0, 4, 99, 1, 5, 5],
            "input 0: expected ids from 0 to 4, got 5 at element 4",
        ),
        (
            [0, 4, 100, 1, 4, 5],
            "input 0: expected class labels from 0 to 99, got 100 at element 2",
        ),
    ] {
        let error = s.run(&mut f, &[&batch(bad)]).unwrap_err().to_string();
        assert_eq!(error, message);
    }
}
