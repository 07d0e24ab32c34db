//! Reverse-mode differentiation, graph to graph: gradients are nodes like any other.

use crate::error::Site;
use crate::graph::Value;
use crate::tensor::{Tensor, Trace, Vjp};
use std::collections::{HashMap, HashSet};

impl Trace {
    /// Gradients of the scalar `of` with respect to `wrt`, each in the shape of its tensor; `None` for a tensor that
    /// `of` does not depend on. As `torch.autograd.grad(of, wrt, create_graph=True, allow_unused=True)`.
    #[track_caller]
    pub fn gradients(&self, of: &Tensor, wrt: &[&Tensor]) -> Vec<Option<Tensor>> {
        let site = Site::here();
        self.forward_ends();
        let all: Vec<&Tensor> = wrt.iter().copied().chain([of]).collect();
        let Some(root) = self.own("gradients", &all, site).and(of.value()) else {
            return vec![None; wrt.len()];
        };
        if of.numel() != 1 || !of.dtype().is_float() {
            let message = format!(
                "takes a scalar f32 loss, {} came: reduce it with mean or sum",
                of.ty()
            );
            self.misuse("gradients", message, site);
            return vec![None; wrt.len()];
        }
        let wanted: HashSet<Value> = wrt.iter().filter_map(|t| t.value()).collect();
        let depends = self.dependents(&wanted, root.node);
        let mut adjoints: HashMap<Value, Tensor> = HashMap::new();
        adjoints.insert(root, self.scalar(1.0).expand(of.shape().clone()));
        let mut found: HashMap<Value, Tensor> = HashMap::new();
        for at in (0..=root.node).rev().filter(|&at| depends[at]) {
            let node = self.node(at);
            let values = (0..node.outputs.len()).map(|output| Value { node: at, output });
            let grads: Vec<Option<Tensor>> = values.clone().map(|v| adjoints.remove(&v)).collect();
            for (v, grad) in values.clone().zip(&grads) {
                if let (true, Some(grad)) = (wanted.contains(&v), grad) {
                    found.insert(v, grad.clone());
                }
            }
            if grads.iter().all(Option::is_none) || node.inputs.is_empty() {
                continue;
            }
            let vjp = Vjp {
                trace: self,
                inputs: node.inputs.iter().map(|&v| self.tensor(v)).collect(),
                outputs: values.map(|v| self.tensor(v)).collect(),
                grads,
                wanted: node
                    .inputs
                    .iter()
                    .map(|v| depends[v.node] && self.tensor(*v).dtype().is_float())
                    .collect(),
                site: node.site,
            };
            let grads = self.scope(&node.path, node.site, || node.op.vjp(&vjp));
            for ((&v, grad), wanted) in node.inputs.iter().zip(grads).zip(&vjp.wanted) {
                if let (true, Some(grad)) = (*wanted, grad) {
                    let sum = match adjoints.remove(&v) {
                        Some(other) => other.add(&grad),
                        None => grad,
                    };
                    adjoints.insert(v, sum);
                }
            }
        }
        wrt.iter()
            .map(|t| t.value().and_then(|v| found.get(&v).cloned()))
            .collect()
    }

    /// The gradient of the scalar `of` with respect to `wrt`, in its shape: [`Trace::gradients`] of one tensor, on which
    /// `of` must depend. As `torch.autograd.grad(of, wrt, create_graph=True)[0]`.
    #[track_caller]
    pub fn grad(&self, of: &Tensor, wrt: &Tensor) -> Tensor {
        let site = Site::here();
        match self.gradients(of, &[wrt]).pop().flatten() {
            Some(grad) => grad,
            None if of.is_poisoned() || wrt.is_poisoned() => self.poison(),
            None => self.misuse("grad", "the loss does not depend on the tensor", site),
        }
    }

    /// Which of the nodes up to `root` depend on a value of `wanted`, or hold one.
    fn dependents(&self, wanted: &HashSet<Value>, root: usize) -> Vec<bool> {
        let mut depends = vec![false; root + 1];
        wanted
            .iter()
            .filter(|v| v.node <= root)
            .for_each(|v| depends[v.node] = true);
        for at in 0..=root {
            depends[at] |= self.node(at).inputs.iter().any(|v| depends[v.node]);
        }
        depends
    }
}
