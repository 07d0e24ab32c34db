//! What has one right answer to the bit, or nearly: conversions, constants, sines of large numbers. On both devices.

use crate::common::{Pass, cpu, gpu};
use wgrad::rng::Rng;
use wgrad::{Array, DType, Params, Session, Tensor};

const N: usize = 4096;

/// Floats of every kind: all exponents alike, and those where conversions turn.
fn floats() -> Vec<f32> {
    let (two31, two32) = (2_147_483_648.0f32, 4_294_967_296.0f32);
    let mut all = vec![0.0, -0.0, 0.5, -0.5, 0.999, -0.999, f32::NAN];
    for edge in [1.0, two31, two32, 3e9, 5e9, 1e20, f32::MAX, f32::INFINITY] {
        all.extend([edge, -edge, edge.next_down(), -edge.next_down()]);
    }
    let mut rng = Rng::new(1, "floats");
    while all.len() < N {
        all.push(f32::from_bits(rng.below(u32::MAX)));
    }
    all
}

fn sessions() -> Vec<(Pass, Session)> {
    let open = |pass: Pass| Some((pass.clone(), pass.open(&Params::new(0))?));
    [cpu(), gpu()].into_iter().filter_map(open).collect()
}

/// `f` of `x`, whose length is a multiple of four, in vectors of four and, one element longer, one by one.
fn both_widths(session: &mut Session, x: &Array, f: fn(&Tensor) -> Tensor) -> [Array; 2] {
    let got = session.eval(|g| {
        let x = g.constant(x.clone());
        let longer = Tensor::cat(&[&x, &x.narrow(0, 0, 1)], 0);
        vec![f(&x), f(&longer)]
    });
    got.unwrap().try_into().unwrap()
}

#[test]
fn conversions_are_rusts() {
    let x = floats();
    let signed: Vec<i32> = x.iter().map(|x| *x as i32).collect();
    let unsigned: Vec<u32> = x.iter().map(|x| *x as u32).collect();
    let words: Vec<u32> = x.iter().map(|x| x.to_bits()).collect();
    let as_i32: Vec<i32> = words.iter().map(|w| *w as i32).collect();
    for (pass, mut session) in sessions() {
        let mut same = |x: &Array, to: fn(&Tensor) -> Tensor, want: Array| {
            for got in both_widths(&mut session, x, to) {
                let got = format!("{:?}", got.to_f32()[..N].to_vec());
                assert_eq!(got, format!("{:?}", want.to_f32()), "{}", pass.name);
            }
        };
        let floats = Array::vector(x.clone());
        same(&floats, |x| x.to(DType::I32), Array::vector(signed.clone()));
        same(
            &floats,
            |x| x.to(DType::U32),
            Array::vector(unsigned.clone()),
        );
        let truth = x.iter().map(|x| f32::from(*x != 0.0)).collect::<Vec<_>>();
        same(
            &floats,
            |x| x.to(DType::Bool).to_f32(),
            Array::vector(truth),
        );
        let (signed, unsigned) = (Array::vector(as_i32.clone()), Array::vector(words.clone()));
        let of_signed: Vec<f32> = as_i32.iter().map(|x| *x as f32).collect();
        let of_unsigned: Vec<f32> = words.iter().map(|x| *x as f32).collect();
        same(&signed, |x| x.to_f32(), Array::vector(of_signed.clone()));
        same(
            &unsigned,
            |x| x.to_f32(),
            Array::vector(of_unsigned.clone()),
        );
        same(
            &unsigned,
            |x| x.to(DType::I32).to_f32(),
            Array::vector(of_signed),
        );
        same(
            &signed,
            |x| x.to(DType::U32).to_f32(),
            Array::vector(of_unsigned),
        );
    }
}

/// Up to the largest f32: the rest past a multiple of half a pi is exact on both devices.
#[test]
fn sines_of_large_numbers() {
    let mut x: Vec<f32> = floats().into_iter().filter(|x| x.is_finite()).collect();
    x.extend([
        8192.0,
        8192.001,
        -8192.001,
        1e8,
        1e9,
        16_367_173.0 * 2f32.powi(72),
    ]);
    x.truncate(x.len() / 4 * 4);
    let mut rng = Rng::new(2, "turns");
    for x in x.iter_mut().step_by(2) {
        *x = (rng.uniform() * 2.0 - 1.0) * 10f32.powf(rng.uniform() * 12.0 - 2.0);
    }
    let exact = |f: fn(f64) -> f64| -> Vec<f64> { x.iter().map(|x| f(f64::from(*x))).collect() };
    let (sines, cosines) = (exact(f64::sin), exact(f64::cos));
    let array = Array::vector(x.clone());
    for (pass, mut session) in sessions() {
        let mut near = |f: fn(&Tensor) -> Tensor, want: &[f64]| {
            for got in both_widths(&mut session, &array, f) {
                for ((got, want), x) in got.to_f32().into_iter().zip(want).zip(&x) {
                    // The polynomials are right to 2 units; of x itself, that is of its rest, nothing is lost.
                    let off = (f64::from(got) - want).abs();
                    assert!(
                        off < 1.8e-7,
                        "{} of {x:e}: got {got}, want {want}",
                        pass.name
                    );
                }
            }
        };
        near(|x| x.sin(), &sines);
        near(|x| x.cos(), &cosines);
        let of_sine: fn(&Tensor) -> Tensor = |x| x.trace().grad(&x.sin().sum(&[], false), x);
        near(of_sine, &cosines);
    }
}

const CONSTANTS: &[f32] = &[
    0.0,
    -0.0,
    0.1,
    -2.0,
    1e-45,
    -1e-40,
    1e-38,
    f32::MIN_POSITIVE,
    f32::EPSILON,
    16_777_217.0,
    123_456.79,
    3.402_823_3e38,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// A constant that a kernel writes is the one that was written down, to the bit.
#[test]
fn constants_keep_their_bits() {
    for (pass, mut session) in sessions() {
        for &value in CONSTANTS {
            let x = Array::vector(vec![0.5f32; 5]);
            let got = session.eval(|g| {
                let x = g.constant(x.clone());
                vec![x.threshold(1.0, value), x.masked_fill(&x.gt(0.0), value)]
            });
            for got in got.unwrap() {
                let bits = |x: f32| if x.is_nan() { 0 } else { x.to_bits() };
                let got: Vec<u32> = got.to_f32().into_iter().map(bits).collect();
                assert_eq!(got, vec![bits(value); 5], "{value:e} on {}", pass.name);
            }
        }
        for value in [0, 1, -1, i32::MAX, i32::MIN, i32::MIN + 1] {
            let x = Array::vector(vec![value, value.wrapping_add(1)]);
            let got = session.eval(|g| {
                let x = g.constant(x.clone());
                vec![x.eq(value).to_f32(), x.maximum(value).to(DType::I32)]
            });
            let got = got.unwrap();
            assert_eq!(got[0].to_f32(), [1.0, 0.0], "{value} on {}", pass.name);
            let want = [value, value.max(value.wrapping_add(1))];
            assert_eq!(
                got[1].as_slice::<i32>().unwrap(),
                want,
                "{value} on {}",
                pass.name
            );
        }
    }
}
