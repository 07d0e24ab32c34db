use super::{rewritten, windows};
use crate::kernel::{Buf, Dispatch};

const TEXT: &str = "
alias C = vec4<f32>;
// x[i] in a comment = no store; y[
@group(0) @binding(1) var<storage, read> x: array<C>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> index: array<u32>;
fn keep(x: array<f32, 2>) -> f32 { return x[1]; }
fn put(at: u32, p: Place) { y[p.y[at] + 1u] = x[index[at]].x + y[at]; y[at] += select(1.0, y[0], y[1] == y[2]); }
";

fn launch() -> Dispatch {
    Dispatch::new("test", TEXT)
        .read(Buf::Input(0))
        .write(Buf::Output(0))
        .read(Buf::Input(1))
}

#[test]
fn loads_and_stores_become_calls() {
    let d = windows(&launch(), &[Some(1000), Some(129), None], 64).unwrap();
    let text = d.wgsl();
    for part in [
        "return x[1];",
        "y_store(u32(p.y[at] + 1u), x_load(u32(index[at])).x + y_load(u32(at)));",
        "y_store(u32(at), y_load(u32(at)) + (select(1.0, y_load(u32(0)), y_load(u32(1)) == y_load(u32(2)))));",
        "fn x_load(i: u32) -> C {\n    if (i < 16u) { return x[i]; }",
        "@group(0) @binding(4) var<storage, read> x_1: array<C>;",
        "@group(0) @binding(19) var<storage, read_write> y_1: array<f32>;",
        "if (i < 128u) { y_1[i - 64u] = value; return; }\n    y_2[i - 128u] = value; return;",
    ] {
        assert!(text.contains(part), "no {part} in:\n{text}");
    }
    let bound: Vec<(Buf, bool, usize, usize)> = d
        .bindings
        .iter()
        .filter_map(|b| b.part.map(|p| (b.buf, b.write, p.offset, p.len)))
        .collect();
    assert_eq!(d.bindings.len(), 3 + 15 + 2);
    assert_eq!(bound[0], (Buf::Input(0), false, 0, 64));
    assert_eq!(bound[16], (Buf::Input(0), false, 960, 40));
    assert_eq!(bound[18], (Buf::Output(0), true, 128, 1));
}

#[test]
fn what_cannot_be_rewritten_is_refused() {
    for (body, why) in [
        ("fn f() { let n = arrayLength(&x); }", "takes all of x"),
        ("fn f() { g(&x[1]); }", "takes a pointer into x"),
        (
            "fn f() { if (y) { let x = 1.0; } z = x[1]; }",
            "a tensor and a variable",
        ),
        (
            "fn f() { x[1].y = 2.0; }",
            "changes a part of an element of x",
        ),
        ("fn f() { x[1]++; }", "changes a part of an element of x"),
    ] {
        let error = rewritten(body, &["x"]).unwrap_err();
        assert!(error.contains(why), "{body}: {error}");
    }
    let own = "fn f() { if (y) { var x = 1.0; x += p.x; } }";
    assert_eq!(rewritten(own, &["x"]).unwrap(), own);
    let both = rewritten("fn f() -> u32 { return a & x[1]; }", &["x"]).unwrap();
    assert!(both.contains("a & x_load(u32(1))"), "{both}");
}
