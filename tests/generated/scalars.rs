//! Random chains of elementwise operators over strange numbers: both devices give what f32 on the host gives, NaN and infinities
//! included, whatever a shader's compiler would like to cancel.

use crate::common::{cpu, gpu};
use crate::draws::{between, draws, one_of};
use wgrad::rng::Rng;
use wgrad::{Array, Params, Tensor};

/// Numbers whose sums and products are exact, so that no order of roundings has a part in the results.
const VALUES: &[f32] = &[
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    0.0,
    0.5,
    -0.5,
    1.0,
    -1.0,
    2.0,
    -2.0,
    4.0,
];

const CONSTANTS: &[f32] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

type Unary = (
    &'static str,
    fn(&Tensor, f32) -> Tensor,
    fn(f64, f64) -> f64,
);
type Binary = (
    &'static str,
    fn(&Tensor, &Tensor) -> Tensor,
    fn(f64, f64) -> f64,
);

/// Of a value and a constant.
const UNARY: &[Unary] = &[
    ("neg", |x, _| -x, |x, _| -x),
    ("abs", |x, _| x.abs(), |x, _| x.abs()),
    ("square", |x, _| x.square(), |x, _| x * x),
    ("reciprocal", |x, _| x.reciprocal(), |x, _| 1.0 / x),
    (
        "relu",
        |x, _| x.relu(),
        |x, _| if x < 0.0 { 0.0 } else { x },
    ),
    (
        "clamp",
        |x, _| x.clamp(-1.0, 2.0),
        |x, _| x.clamp(-1.0, 2.0),
    ),
    (
        "isnan",
        |x, _| x.isnan().to_f32(),
        |x, _| f64::from(x.is_nan()),
    ),
    ("mul", |x, c| x * c, |x, c| x * c),
    ("add", |x, c| x + c, |x, c| x + c),
    ("minus from", |x, c| c - x, |x, c| c - x),
    ("over", |x, c| c / x, |x, c| c / x),
    ("div", |x, c| x / c, |x, c| x / c),
    ("gt", |x, c| x.gt(c).to_f32(), |x, c| f64::from(x > c)),
    ("ne", |x, c| x.ne(c).to_f32(), |x, c| f64::from(x != c)),
];

const BINARY: &[Binary] = &[
    ("add", |a, b| a + b, |a, b| a + b),
    ("sub", |a, b| a - b, |a, b| a - b),
    ("mul", |a, b| a * b, |a, b| a * b),
    ("div", |a, b| a / b, |a, b| a / b),
    ("sub", |a, b| a - b, |a, b| a - b),
    ("div", |a, b| a / b, |a, b| a / b),
    (
        "maximum",
        |a, b| a.maximum(b),
        |a, b| if a > b || a.is_nan() { a } else { b },
    ),
    (
        "minimum",
        |a, b| a.minimum(b),
        |a, b| if a < b || a.is_nan() { a } else { b },
    ),
    ("eq", |a, b| a.eq(b).to_f32(), |a, b| f64::from(a == b)),
    ("le", |a, b| a.le(b).to_f32(), |a, b| f64::from(a <= b)),
    (
        "where less",
        |a, b| a.lt(b).where_(a, b),
        |a, b| if a < b { a } else { b },
    ),
];

/// One operator and which of the values before it takes, the two inputs being the first.
#[derive(Clone, Copy)]
enum Link {
    One(&'static Unary, usize, f32),
    Two(&'static Binary, usize, usize),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One((name, ..), a, c) => write!(f, "{name} v{a} {c:?}"),
            Self::Two((name, ..), a, b) => write!(f, "{name} v{a} v{b}"),
        }
    }
}

fn chain(rng: &mut Rng) -> Vec<Link> {
    let many = between(rng, 2, 9);
    let of = |k: usize, rng: &mut Rng| match between(rng, 0, 2) {
        // Two of the inputs, and more often the last one, so that much is one expression.
        0 => k + 1,
        _ => between(rng, 0, k + 1),
    };
    let link = |k: usize| match between(rng, 0, 2) {
        0 => Link::One(one_of(rng, UNARY), of(k, rng), *one_of(rng, CONSTANTS)),
        _ => Link::Two(one_of(rng, BINARY), of(k, rng), of(k, rng)),
    };
    (0..many).map(link).collect()
}

/// What each link gives for two inputs; `None` from where f32 and f64 part, since the devices may then part too.
fn exact(links: &[Link], x: f32, y: f32) -> Vec<Option<f32>> {
    let mut values = vec![f64::from(x), f64::from(y)];
    let mut known = vec![true; 2];
    for link in links {
        let (exact, from) = match *link {
            Link::One((.., f), a, c) => (f(values[a], f64::from(c)), known[a]),
            Link::Two((.., f), a, b) => (f(values[a], values[b]), known[a] && known[b]),
        };
        let single = exact as f32;
        let small = exact == 0.0 || single.is_normal() || !exact.is_finite();
        let same = exact.is_nan() || f64::from(single) == exact;
        values.push(exact);
        known.push(from && small && same);
    }
    let all = values.iter().zip(known);
    all.skip(2)
        .map(|(v, known)| known.then_some(*v as f32))
        .collect()
}

#[test]
fn strange_numbers() {
    let sessions = [cpu(), gpu()].map(|pass| (pass.name, pass.open(&Params::new(0))));
    let mut sessions: Vec<_> = (sessions.into_iter())
        .filter_map(|(name, s)| Some((name, s?)))
        .collect();
    draws("strange numbers", 60, |rng| {
        let links = chain(rng);
        let n = VALUES.len() * VALUES.len() - between(rng, 0, 1);
        let left: Vec<f32> = (0..n).map(|k| VALUES[k / VALUES.len()]).collect();
        let right: Vec<f32> = (0..n).map(|k| VALUES[k % VALUES.len()]).collect();
        let inputs = [&left, &right].map(|v| Array::vector(v.clone()));
        for (name, session) in &mut sessions {
            let got = session.eval(|g| {
                let mut values: Vec<Tensor> =
                    inputs.iter().map(|v| g.constant(v.clone())).collect();
                for link in &links {
                    values.push(match *link {
                        Link::One((_, f, _), a, c) => f(&values[a], c),
                        Link::Two((_, f, _), a, b) => f(&values[a], &values[b]),
                    });
                }
                values.split_off(values.len() - links.len().min(3))
            });
            let got: Vec<Vec<f32>> = got.unwrap().iter().map(Array::to_f32).collect();
            for at in 0..n {
                let want = exact(&links, left[at], right[at]);
                let want = &want[want.len() - got.len()..];
                for (got, want) in got.iter().zip(want) {
                    let Some(want) = *want else { continue };
                    let got = got[at];
                    let near = (got - want).abs() <= 1e-5 * want.abs();
                    let same = got == want || near || (got.is_nan() && want.is_nan());
                    assert!(
                        same,
                        "{name}, of {} and {}: {got} for {want}, {links:?}",
                        left[at], right[at]
                    );
                }
            }
        }
    });
}
