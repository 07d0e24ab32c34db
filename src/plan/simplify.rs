//! Graph to graph: what is computed twice or for nobody disappears.

use crate::graph::{Graph, Value};
use crate::op::Kind;
use std::collections::HashMap;

/// Without nodes that neither an output nor an effect needs.
pub fn dead_code(graph: Graph) -> Graph {
    let mut live = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|v| live[v.node] = true);
    for at in (0..graph.nodes.len()).rev() {
        live[at] |= graph.is_effect(at);
        if live[at] {
            graph.nodes[at]
                .inputs
                .iter()
                .for_each(|v| live[v.node] = true);
        }
    }
    rebuild(
        graph,
        |at, _, _| if live[at] { Keep::Yes } else { Keep::No },
    )
}

/// With one node for what is computed several times: the same operator on the same values.
pub fn common_subexpressions(graph: Graph) -> Graph {
    let mut known: HashMap<(String, Vec<Value>), usize> = HashMap::new();
    rebuild(graph, |_, node, to| {
        if matches!(node.op.kind(), Kind::Assign(_)) {
            return Keep::Yes;
        }
        // The type distinguishes leaves of one state under several shapes.
        let key = (
            format!("{}{:?}{:?}", node.op.name(), node.op, node.outputs),
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

enum Keep {
    Yes,
    No,
    /// The node is the one at this index of the new graph.
    Is(usize),
}

/// The graph with the nodes that `keep(index, node with new inputs, index in the new graph)` wants.
fn rebuild(graph: Graph, mut keep: impl FnMut(usize, &crate::graph::Node, usize) -> Keep) -> Graph {
    let mut map = vec![usize::MAX; graph.nodes.len()];
    let mut nodes = Vec::new();
    for (at, mut node) in graph.nodes.into_iter().enumerate() {
        node.inputs.iter_mut().for_each(|v| v.node = map[v.node]);
        match keep(at, &node, nodes.len()) {
            Keep::Yes => {
                map[at] = nodes.len();
                nodes.push(node);
            }
            Keep::Is(other) => map[at] = other,
            Keep::No => {}
        }
    }
    let outputs = graph
        .outputs
        .into_iter()
        .map(|v| Value {
            node: map[v.node],
            ..v
        })
        .collect();
    Graph {
        nodes,
        outputs,
        inputs: graph.inputs,
    }
}
