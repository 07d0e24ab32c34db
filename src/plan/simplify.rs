//! Graph to graph: what is computed twice or for nobody disappears.

use crate::graph::{Graph, Leaf, Node, Scalar, Value};
use crate::op::Kind;
use crate::ops::matmul::Matmul;
use crate::ops::view::View;
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// Without nodes that neither an output nor an effect needs.
pub fn dead_code(graph: Graph) -> Graph {
    let live = graph.live();
    rebuild(
        graph,
        |at, _, _| if live[at] { Keep::Yes } else { Keep::No },
    )
}

/// Without views that show all of their input as it is.
pub fn unchanged_views(graph: Graph) -> Graph {
    let unchanged = |node: &Node| {
        let shape = &graph.ty(node.inputs[0]).shape;
        let view = (node.op.as_ref() as &dyn Any).downcast_ref::<View>();
        view.is_some_and(|v| v.is_identity(shape))
    };
    let unchanged: Vec<bool> = (graph.nodes.iter())
        .map(|n| !n.inputs.is_empty() && unchanged(n))
        .collect();
    rebuild(graph, |at, _, _| match unchanged[at] {
        true => Keep::Input,
        false => Keep::Yes,
    })
}

/// With one node for what is computed several times: the same operator on the same values. Operators are the same where their
/// types and what they print are, and they say that this is enough ([`OpDef::merges`](crate::op::OpDef::merges)).
pub fn common_subexpressions(graph: Graph) -> Graph {
    let mut known: HashMap<(String, Vec<Value>), usize> = HashMap::new();
    rebuild(graph, |_, node, to| {
        if matches!(node.op.kind(), Kind::Assign(_)) || !node.op.merges() {
            return Keep::Yes;
        }
        let op: &dyn Any = node.op.as_ref();
        // A function of the host's prints its name alone.
        let function = match node.op.kind() {
            Kind::Leaf(Leaf::Scalar(Scalar::OfUpdate(f))) => f.value as usize,
            _ => 0,
        };
        // The outputs' types distinguish leaves of one state under several shapes.
        let key = (
            format!(
                "{:?} {function} {}{:?}{:?}",
                op.type_id(),
                node.op.name(),
                node.op,
                node.outputs
            ),
            node.inputs.clone(),
        );
        match known.get(&key) {
            Some(&at) => Keep::Is(at),
            None => {
                known.insert(key, to);
                Keep::Yes
            }
        }
    })
}

/// With products computed the way round in which they are used: the transpose of `a b` is `b' a'`.
pub fn transposed_products(mut graph: Graph) -> Graph {
    let mut uses = vec![0; graph.nodes.len()];
    let inputs = graph.nodes.iter().flat_map(|n| &n.inputs);
    inputs.chain(&graph.outputs).for_each(|v| uses[v.node] += 1);
    for at in 0..graph.nodes.len() {
        let Some(View::Permute(dims)) = (graph.nodes[at].op.as_ref() as &dyn Any).downcast_ref()
        else {
            continue;
        };
        let n = dims.len();
        let swaps = n >= 2 && (0..n - 2).all(|d| dims[d] == d) && dims[n - 1] == n - 2;
        let product = graph.nodes[at].inputs[0].node;
        let op = graph.nodes[product].op.as_ref() as &dyn Any;
        let Some(&Matmul {
            transpose_a,
            transpose_b,
        }) = op.downcast_ref()
        else {
            continue;
        };
        if swaps && uses[product] == 1 {
            let [a, b] = [
                graph.nodes[product].inputs[0],
                graph.nodes[product].inputs[1],
            ];
            graph.nodes[at].inputs = vec![b, a];
            graph.nodes[at].op = Arc::new(Matmul {
                transpose_a: !transpose_b,
                transpose_b: !transpose_a,
            });
        }
    }
    graph
}

enum Keep {
    Yes,
    No,
    /// Its value is its first input.
    Input,
    /// The node is the one at this index of the new graph.
    Is(usize),
}

/// The graph with the nodes that `keep(index, node with new inputs, index in the new graph)` wants.
fn rebuild(graph: Graph, mut keep: impl FnMut(usize, &Node, usize) -> Keep) -> Graph {
    // The node that each one became, or the value that its only output is.
    let mut map: Vec<Result<usize, Value>> = vec![Ok(usize::MAX); graph.nodes.len()];
    let moved = |map: &[Result<usize, Value>], v: Value| match map[v.node] {
        Ok(node) => Value { node, ..v },
        Err(value) => value,
    };
    let mut nodes = Vec::new();
    for (at, mut node) in graph.nodes.into_iter().enumerate() {
        node.inputs.iter_mut().for_each(|v| *v = moved(&map, *v));
        match keep(at, &node, nodes.len()) {
            Keep::Yes => {
                map[at] = Ok(nodes.len());
                nodes.push(node);
            }
            Keep::Input => map[at] = Err(node.inputs[0]),
            Keep::Is(other) => map[at] = Ok(other),
            Keep::No => {}
        }
    }
    let outputs = graph.outputs.into_iter().map(|v| moved(&map, v)).collect();
    Graph {
        nodes,
        outputs,
        inputs: graph.inputs,
    }
}
