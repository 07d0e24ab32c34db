//! Plans that are spoilt by hand.

use super::{PageKind, verify};
use crate::caps::Caps;
use crate::graph::TensorType;
use crate::optim::Sgd;
use crate::plan::Plan;
use crate::state::Params;
use crate::tensor::Trace;

/// One step over parameters of four elements each, of which every second one is frozen: their gradients are packed alike.
fn plan() -> Plan {
    let params = Params::new(0);
    let all = ["w0", "w1", "w2", "w3", "w4"];
    let all = all.map(|name| params.parameter(name, [4], |_, n| vec![1.0; n]));
    params.freeze("{w1,w3}").unwrap();
    let trace = Trace::new(&params, true);
    let x = trace.input(TensorType::f32([4]));
    let term = |(k, p)| trace.param(p).mul(&x).sum(&[], false).mul_scalar(k as f32);
    let terms = all.iter().enumerate().map(term);
    let loss = terms.reduce(|a, b| a.add(&b)).unwrap();
    trace.minimize(&loss, &Sgd::new(1.0));
    drop(x);
    Plan::compile(trace.finish(&[loss]).unwrap().graph, &Caps::cpu()).unwrap()
}

fn fault(spoil: impl FnOnce(&mut Plan)) -> String {
    let mut plan = plan();
    assert_eq!(verify(&plan, &[]), Ok(()));
    spoil(&mut plan);
    verify(&plan, &[]).unwrap_err()
}

#[test]
fn pages_of_a_plan_are_buffers_of_their_own() {
    let kinds = |plan: &Plan| {
        let gradients = |k: &PageKind| matches!(k, PageKind::Gradients(..));
        let kinds = plan.pages.iter().map(|p| p.kind.clone());
        kinds.filter(gradients).collect::<Vec<_>>()
    };
    let packed = |number| PageKind::Gradients(vec![(0, 4)], number);
    assert_eq!(kinds(&plan()), [packed(0), packed(1), packed(2)]);
    // Another plan over the same parameters shares all of them.
    assert_eq!(kinds(&plan()), kinds(&plan()));

    let message = fault(|plan| plan.pages[2].kind = plan.pages[0].kind.clone());
    assert_eq!(
        message,
        "pages 0 and 2 are one buffer, Gradients([(0, 4)], 0)"
    );
}

#[test]
fn pages_of_activations_are_buffers_of_their_own() {
    let message = fault(|plan| {
        let twin = plan
            .pages
            .iter()
            .position(|p| matches!(p.kind, PageKind::Activations(_)));
        let twin = plan.pages[twin.unwrap()].clone();
        plan.pages.push(twin);
    });
    assert!(
        message.contains("are one buffer, Activations(0)"),
        "{message}"
    );
}

#[test]
fn a_page_is_written_where_its_name_says() {
    let message = fault(|plan| plan.pages[0].kind = PageKind::Gradients(vec![(0, 4), (64, 4)], 0));
    assert_eq!(
        message,
        "page 0 is written at {(0, 4)}, it is named by {(0, 4), (64, 4)}"
    );
}

#[test]
fn regions_lie_in_their_pages() {
    let message = fault(|plan| plan.pages[1].words = 3);
    assert_eq!(message, "page1[0..4] is beyond the end of its page");
}
