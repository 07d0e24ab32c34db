//! Shaders against what is bound to them: reflected from the complete module of every launch of the case table.

use crate::cases::{Case, table};
use crate::literals;
use crate::run::{Faults, Program};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Expression, Handle, Literal, Module, StorageAccess};
use std::collections::HashSet;
use std::path::Path;
use wgrad::caps::Caps;
use wgrad::kernel::Dispatch;
use wgrad::plan::Plan;
use wgrad::{Params, Tensor, Trace};

fn plan(case: &Case, caps: &Caps) -> Result<Plan, wgrad::Error> {
    let program = Program::new(case)?;
    let trace = Trace::new(&Params::new(0), true);
    let types = program.arguments();
    let arguments: Vec<Tensor> = types.iter().map(|t| trace.input(t.clone())).collect();
    let results = program.trace(&trace, &arguments);
    let traced = trace.finish(&results)?;
    Plan::compile(traced.graph, caps)
}

/// Faults of one launch.
pub fn fits(d: &Dispatch, caps: &Caps) -> Result<(), String> {
    let text = d.wgsl();
    literals::check(&text)?;
    let module = naga::front::wgsl::parse_str(&text).map_err(|e| e.emit_to_string(&text))?;
    Validator::new(
        ValidationFlags::all(),
        Capabilities::SUBGROUP | Capabilities::SHADER_INT64,
    )
    .validate(&module)
    .map_err(|e| e.emit_to_string(&text))?;
    bindings(&module, d)?;
    for (name, _) in &d.overrides {
        if !module
            .overrides
            .iter()
            .any(|o| o.1.name.as_deref() == Some(name))
        {
            return Err(format!("there is no override {name}"));
        }
    }
    let [entry] = &module.entry_points[..] else {
        return Err(format!("{} entry points", module.entry_points.len()));
    };
    let mut threads = 1.0;
    let sizes = entry.workgroup_size_overrides.unwrap_or_default();
    for (size, by) in entry.workgroup_size.into_iter().zip(sizes) {
        threads *= match by {
            Some(expression) => {
                value(&module, d, expression).ok_or("a workgroup size that is no number")?
            }
            None => f64::from(size),
        };
    }
    if !(1.0..=f64::from(caps.threads)).contains(&threads) {
        return Err(format!(
            "{threads} threads, the device allows {}",
            caps.threads
        ));
    }
    if d.bindings.len() > caps.storage_buffers {
        return Err(format!("{} storage buffers", d.bindings.len()));
    }
    let grid = d.grid.iter().all(|n| (1..=caps.workgroups).contains(n));
    if !grid {
        return Err(format!("a grid of {:?} workgroups", d.grid));
    }
    Ok(())
}

/// Bindings count from 1 in the order of the launch, with its access; binding 0 is as long as its words.
fn bindings(module: &Module, d: &Dispatch) -> Result<(), String> {
    let mut uniform = None;
    let mut storage: Vec<Option<bool>> = vec![None; d.bindings.len()];
    for (_, global) in module.global_variables.iter() {
        let Some(binding) = &global.binding else {
            continue;
        };
        let at = binding.binding as usize;
        match global.space {
            AddressSpace::Uniform if at == 0 && binding.group == 0 => {
                uniform = Some(module.types[global.ty].inner.size(module.to_ctx()));
            }
            AddressSpace::Storage { access }
                if binding.group == 0 && (1..=storage.len()).contains(&at) =>
            {
                storage[at - 1] = Some(access.contains(StorageAccess::STORE));
            }
            _ => return Err(format!("a global at group {}, binding {at}", binding.group)),
        }
    }
    let words = d.words.len() * 4;
    match uniform {
        Some(bytes) if bytes as usize != words => {
            return Err(format!("uniform of {bytes} bytes, {words} given"));
        }
        None if words > 0 => return Err(format!("no uniform, {words} bytes given")),
        _ => {}
    }
    for (k, (declared, given)) in storage.iter().zip(&d.bindings).enumerate() {
        match declared {
            None => {
                return Err(format!(
                    "nothing at binding {}, {:?} given",
                    k + 1,
                    given.buf
                ));
            }
            Some(write) if *write != given.write => {
                return Err(format!(
                    "binding {}, {:?}: written {write}, given {}",
                    k + 1,
                    given.buf,
                    given.write
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A constant, or an override as the launch sets it.
fn value(module: &Module, d: &Dispatch, at: Handle<Expression>) -> Option<f64> {
    match module.global_expressions[at] {
        Expression::Literal(Literal::U32(v)) => Some(f64::from(v)),
        Expression::Literal(Literal::I32(v)) => Some(f64::from(v)),
        Expression::Constant(c) => value(module, d, module.constants[c].init),
        Expression::Override(o) => {
            let o = &module.overrides[o];
            let set = d
                .overrides
                .iter()
                .find(|(name, _)| o.name.as_deref() == Some(name));
            set.map(|s| s.1).or_else(|| value(module, d, o.init?))
        }
        _ => None,
    }
}

#[test]
fn launches_fit_their_shaders() {
    let faults = Faults::default();
    let software = Caps {
        software: true,
        ..Caps::default()
    };
    let subgroups = Caps {
        subgroup: 8,
        ..software.clone()
    };
    let wide = Caps {
        int64: true,
        ..subgroups.clone()
    };
    let mut seen = HashSet::new();
    let mut stems = HashSet::new();
    for caps in [Caps::default(), software, subgroups, wide] {
        for case in table() {
            let plan = match plan(&case, &caps) {
                Ok(plan) => plan,
                Err(error) => {
                    faults.add(format!("{}: {error}", case.name));
                    continue;
                }
            };
            for d in plan.steps.iter().flat_map(|s| &s.kernels.dispatches) {
                stems.insert(d.shader);
                let key = (
                    d.wgsl(),
                    d.words.len(),
                    format!("{:?} {:?}", d.bindings, d.overrides),
                );
                if let (true, Err(why)) = (seen.insert(key), fits(d, &caps)) {
                    faults.add(format!("{}, {}: {why}", case.name, d.shader));
                }
            }
        }
    }
    for stem in files().into_iter().filter(|s| !stems.contains(s.as_str())) {
        faults.add(format!(
            "shaders/{stem}.wgsl: no row of the case table launches it"
        ));
    }
    faults.end();
}

fn files() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let paths = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    let wgsl = paths.filter(|p| p.extension().is_some_and(|e| e == "wgsl"));
    wgsl.map(|p| p.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

/// A shader without overrides is one that cannot be tuned, and one that some drivers compile differently.
#[test]
fn shaders_have_overrides() {
    for stem in files() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("shaders/{stem}.wgsl"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.lines().any(|l| l.starts_with("override ")),
            "{stem} has no override"
        );
        assert!(
            text.lines().count() <= 300,
            "{stem} is longer than 300 lines"
        );
    }
}
