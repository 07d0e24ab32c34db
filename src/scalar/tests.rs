use super::*;

fn eval(e: &Expr, args: &[f32]) -> f32 {
    let program = Program::new(std::slice::from_ref(e));
    let mut regs = program.registers();
    // SAFETY: the operands are copied into the registers.
    unsafe {
        program.run(&mut regs, 0, 1, &|slot, out| {
            out[0] = args[slot].to_bits();
            None
        });
        f32::from_bits(*regs.value(program.results()[0]))
    }
}

#[test]
fn derivatives_match_finite_differences() {
    let x = Expr::arg(0);
    let y = Expr::arg(1);
    let cases = [
        x.gelu(GeluApprox::None),
        x.gelu(GeluApprox::Tanh),
        x.mish(),
        x.silu(),
        x.selu(),
        x.softplus(1.5, 20.0),
        x.log_sigmoid(),
        x.hardswish(),
        x.softsign(),
        x.tanhshrink(),
        x.pow_scalar(3.0),
        x.pow_scalar(-2.0),
        x.tanh(),
        x.sigmoid(),
        x.exp(),
        x.erf(),
        x.sin(),
        x.cos(),
        &x * &y,
        &x / &y,
        x.maximum(&y),
        x.minimum(&y),
        x.abs(),
        x.square().sqrt(),
        x.square().log(),
        x.square().rsqrt(),
        x.square().log1p(),
        x.square().pow(&y),
    ];
    for e in &cases {
        for at in [[0.7f32, 1.3], [-0.6, 0.4], [1.9, 2.2]] {
            for k in 0..2 {
                let (mut up, mut down) = (at, at);
                let h = 1e-2;
                up[k] += h;
                down[k] -= h;
                let numeric = (eval(e, &up) - eval(e, &down)) / (2.0 * h);
                let exact = e
                    .vjp(k, 2)
                    .map_or(0.0, |d| eval(&d, &[at[0], at[1], 1.5, eval(e, &at)]))
                    / 1.5;
                assert!(
                    (numeric - exact).abs() < 2e-3 + 2e-3 * exact.abs(),
                    "{e} d{k} at {at:?}: {numeric} {exact}"
                );
            }
        }
    }
}

#[test]
fn nan_and_infinity_pass() {
    let x = Expr::arg(0);
    for e in [
        x.relu(),
        x.maximum(&Expr::lit(0.0)),
        Expr::lit(0.0).minimum(&x),
        x.clamp(-1.0, 1.0),
        x.tanh(),
        x.erf(),
        x.sign(),
    ] {
        assert!(eval(&e, &[f32::NAN]).is_nan(), "{e}");
    }
    assert_eq!(eval(&x.relu(), &[f32::INFINITY]), f32::INFINITY);
    assert_eq!(eval(&x.softplus(1.0, 20.0), &[500.0]), 500.0);
}

#[test]
fn constants_fold_and_values_are_shared() {
    let x = Expr::arg(0);
    assert_eq!(
        (&Expr::lit(2.0) * &Expr::lit(3.0)).as_constant(),
        Some(6.0f32.to_bits())
    );
    assert_eq!(&x * &Expr::lit(1.0), x);
    assert_eq!((&x.tanh() * &x.tanh()).insts().len(), 3);
}
