//! Random training set-ups on separable losses: each parameter must end where it ends alone, in a session of its own that
//! knows nothing of parts, frozen parameters, micro-steps, groups of others, stops.

use crate::common::{Pass, cpu, gpu, lockstep};
use crate::draws::{between, chance, draws, one_of};
use std::sync::Arc;
use wgrad::optim::{
    Adadelta, Adagrad, Adam, Adamax, Lion, MinimizeOptions, NAdam, Optimizer, ParamGroup, Penalty,
    RAdam, RmsProp, Sgd,
};
use wgrad::rng::Rng;
use wgrad::{Array, Function, Mode, Params, Session, Tensor, TensorType, Trace};

type Rule = Arc<dyn Optimizer + Send + Sync>;

/// Most parameters: the length of the argument.
const MOST: usize = 8;

/// A number of `low..high`.
fn number(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * (rng.below(1 << 20) as f32 / (1 << 20) as f32)
}

fn rule(rng: &mut Rng) -> Rule {
    let decay = if chance(rng, 40) { 0.1 } else { 0.0 };
    let lr = f64::from(number(rng, 0.01, 0.1));
    let (yes, decoupled) = (chance(rng, 50), chance(rng, 50));
    match rng.below(11) {
        0 => Arc::new(Sgd {
            weight_decay: decay,
            ..Sgd::new(lr)
        }),
        1 => Arc::new(Sgd {
            momentum: 0.9,
            nesterov: yes,
            dampening: if yes { 0.0 } else { 0.3 },
            weight_decay: decay,
            ..Sgd::new(lr)
        }),
        2 | 3 => Arc::new(Adam {
            weight_decay: decay,
            decoupled,
            amsgrad: yes,
            ..Adam::new(lr)
        }),
        4 => Arc::new(NAdam {
            weight_decay: decay,
            decoupled,
            ..NAdam::new(lr)
        }),
        5 => Arc::new(RAdam {
            weight_decay: decay,
            decoupled,
            ..RAdam::new(lr)
        }),
        6 => Arc::new(Adamax {
            weight_decay: decay,
            ..Adamax::new(lr)
        }),
        7 => Arc::new(Adagrad {
            lr_decay: 0.1,
            weight_decay: decay,
            initial_accumulator_value: if yes { 0.1 } else { 0.0 },
            ..Adagrad::new(lr)
        }),
        8 => Arc::new(Adadelta {
            weight_decay: decay,
            ..Adadelta::new(10.0 * lr)
        }),
        9 => Arc::new(RmsProp {
            alpha: 0.9,
            momentum: if yes { 0.5 } else { 0.0 },
            centered: decoupled,
            weight_decay: decay,
            ..RmsProp::new(lr)
        }),
        _ => Arc::new(Lion {
            weight_decay: decay,
            ..Lion::new(lr)
        }),
    }
}

/// What a parameter adds to the loss, times a coefficient of the run: `Σ w d`, or `Σ (w - d)² / 2`.
#[derive(Debug, Clone)]
struct Term {
    path: String,
    first: Vec<f32>,
    d: Vec<f32>,
    quadratic: bool,
    part: usize,
}

impl Term {
    fn new(rng: &mut Rng, path: String, part: usize) -> Self {
        let size = *one_of(rng, &[1, 3, 4, 4, 4, 64, 65, 130]);
        // Far from where they start, so that no gradient changes its sign: a rule may look at that alone.
        let far = |rng: &mut Rng| {
            let away = number(rng, 6.0, 9.0);
            if chance(rng, 50) { away } else { -away }
        };
        Self {
            path,
            first: (0..size).map(|_| number(rng, -1.0, 1.0)).collect(),
            d: (0..size).map(|_| far(rng)).collect(),
            quadratic: chance(rng, 50),
            part,
        }
    }

    fn create(&self, params: &Params) {
        params.parameter(&self.path, [self.first.len()], |_, _| self.first.clone());
    }

    fn loss(&self, g: &Trace, x: &Tensor) -> Tensor {
        let s = g.params().root().get(&self.path).unwrap();
        let w = g.state(s.range, TensorType::new(s.shape, s.dtype));
        let d = g.constant(Array::vector(self.d.clone()));
        let of = match self.quadratic {
            true => w.sub(&d).square().sum(&[], false).mul_scalar(0.5),
            false => w.mul(&d).sum(&[], false),
        };
        of.mul(x)
    }

    /// The square of the gradient's norm at `w`, where the coefficient is `x`.
    fn square(&self, w: &[f32], x: f64) -> f64 {
        let pairs = w.iter().zip(&self.d);
        let each = pairs.map(|(w, d)| match self.quadratic {
            true => f64::from(*w) - f64::from(*d),
            false => f64::from(*d),
        });
        each.map(|g| (x * g).powi(2)).sum()
    }
}

/// An optimizer over a part of the parameters.
#[derive(Clone)]
struct Part {
    rule: Rule,
    options: MinimizeOptions,
    /// Whether runs are weighted.
    weighted: bool,
    /// Micro-steps since the last update and what they counted.
    micro: usize,
    counted: f64,
}

impl Part {
    fn new(rng: &mut Rng, at: usize, parts: usize, terms: &[Term]) -> Self {
        let mut options = MinimizeOptions {
            micro_steps: *one_of(rng, &[1, 1, 2, 3]),
            ema: chance(rng, 40).then_some(0.75),
            ..Default::default()
        };
        if parts > 1 {
            options.parameters = vec![format!("p{at}")];
            options.first_group = 5 * at + rng.below(3) as usize;
        }
        let own: Vec<&Term> = terms.iter().filter(|t| t.part == at).collect();
        for _ in 0..rng.below(3) {
            let mut group = ParamGroup::new(one_of(rng, &own).path.clone());
            if chance(rng, 70) {
                group = group.lr(f64::from(number(rng, 0.01, 0.1)));
            }
            if chance(rng, 50) {
                group = group.weight_decay(0.2);
            }
            options.groups.push(group);
        }
        if chance(rng, 30) {
            options.clip_norm = Some(number(rng, 1.0, 100.0));
        } else {
            for _ in 0..rng.below(3) {
                let path = one_of(rng, &own).path.clone();
                let path = if chance(rng, 30) {
                    format!("p{at}")
                } else {
                    path
                };
                options.penalties.push(Penalty::elastic(path, 0.05, 0.1));
            }
            options.clip_value = chance(rng, 30).then(|| number(rng, 2.0, 9.0));
        }
        Self {
            rule: rule(rng),
            options,
            weighted: chance(rng, 40),
            micro: 0,
            counted: 0.0,
        }
    }

    fn minimize(&self, g: &Trace, at: usize, terms: &[Term], a: &[Tensor]) {
        let own = terms.iter().enumerate().filter(|(_, t)| t.part == at);
        let losses = own.map(|(k, t)| t.loss(g, &a[0].select(0, k as isize)));
        let Some(loss) = losses.reduce(|a, b| a.add(&b)) else {
            return;
        };
        match self.weighted {
            true => g.minimize_counted(&loss, &a[1], self.rule.as_ref(), &self.options),
            false => g.minimize_with(&loss, self.rule.as_ref(), &self.options),
        };
    }
}

/// A parameter by itself.
struct Alone {
    session: Session,
    step: Function<'static>,
    /// The sum of its coefficients since the last update, each times what its run counted.
    pending: f64,
    frozen: bool,
    updated: bool,
}

impl Alone {
    fn new(term: &Term, part: &Part) -> Self {
        let params = Params::new(0);
        term.create(&params);
        let mut options = part.options.clone();
        let fits = |pattern: &str| wgrad::glob::matches(pattern, &term.path);
        // Groups and penalties do not show their patterns; those of others would be refused.
        let known = |debug: String| {
            let pattern = debug.split('"').nth(1).unwrap();
            fits(pattern)
        };
        options.groups.retain(|g| known(format!("{g:?}")));
        options.penalties.retain(|p| known(format!("{p:?}")));
        options.parameters.clear();
        (options.first_group, options.micro_steps, options.clip_norm) = (0, 1, None);
        let mut session = cpu().open(&params).unwrap();
        let (term, rule) = (term.clone(), part.rule.clone());
        let step = session
            .compile(Mode::Train, &[TensorType::f32([])], move |g, a| {
                let loss = term.loss(g, &a[0]);
                g.minimize_with(&loss, rule.as_ref(), &options);
                vec![]
            })
            .unwrap();
        Self {
            session,
            step,
            pending: 0.0,
            frozen: false,
            updated: false,
        }
    }

    fn value(&mut self, path: &str) -> Vec<f32> {
        self.session.get(path).unwrap().to_f32()
    }

    fn update(&mut self, x: f64) {
        let x = Array::scalar(x as f32);
        self.session.run(&mut self.step, &[&x]).unwrap();
        self.updated = true;
    }
}

struct Setup {
    pass: Pass,
    terms: Vec<Term>,
    parts: Vec<Part>,
    /// Whether all optimizers are in one function.
    together: bool,
    alone: Vec<Alone>,
    params: Params,
    session: Session,
    steps: Vec<Function<'static>>,
}

impl Setup {
    fn new(rng: &mut Rng, pass: Pass) -> Option<Self> {
        let count = between(rng, 1, MOST - 1);
        let parts = if count > 1 && chance(rng, 50) { 2 } else { 1 };
        let path = |k: usize, part: usize| format!("p{part}.w{k}");
        let mut terms: Vec<Term> = Vec::new();
        for k in 0..count {
            let part = if k < parts {
                k
            } else {
                rng.below(parts as u32) as usize
            };
            terms.push(Term::new(rng, path(k, part), part));
        }
        let parts: Vec<Part> = (0..parts)
            .map(|at| Part::new(rng, at, parts, &terms))
            .collect();
        let alone = terms
            .iter()
            .map(|t| Alone::new(t, &parts[t.part]))
            .collect();
        let params = Params::new(0);
        terms.iter().for_each(|t| t.create(&params));
        let session = pass.open(&params)?;
        let mut setup = Self {
            pass,
            together: chance(rng, 50),
            terms,
            parts,
            alone,
            params,
            session,
            steps: Vec::new(),
        };
        setup.compile();
        Some(setup)
    }

    fn compile(&mut self) {
        for old in self.steps.drain(..) {
            self.session.forget(old);
        }
        let types = [TensorType::f32([MOST]), TensorType::f32([])];
        let sets: Vec<Vec<usize>> = match self.together {
            true => vec![(0..self.parts.len()).collect()],
            false => (0..self.parts.len()).map(|p| vec![p]).collect(),
        };
        for set in sets {
            let (parts, terms) = (self.parts.clone(), self.terms.clone());
            let body = move |g: &Trace, a: &[Tensor]| {
                set.iter().for_each(|&p| parts[p].minimize(g, p, &terms, a));
                vec![]
            };
            let step = self.session.compile(Mode::Train, &types, body).unwrap();
            self.steps.push(step);
        }
    }

    /// What happens between two runs.
    fn event(&mut self, rng: &mut Rng) {
        match rng.below(12) {
            0..=2 => {
                let frozen = chance(rng, 60);
                for k in 0..self.terms.len() {
                    if chance(rng, 40) {
                        self.freeze(k, frozen);
                    }
                }
            }
            3 => (0..self.terms.len()).for_each(|k| self.freeze(k, false)),
            4 => {
                let sum = |g: &Trace| {
                    let of = self.terms.iter().map(|t| t.loss(g, &g.scalar(1.0)));
                    vec![of.reduce(|a, b| a.add(&b)).unwrap()]
                };
                let sum = self.session.eval(sum).unwrap()[0].item();
                assert!(sum.is_finite());
            }
            5 | 6 => self.stop(),
            7 if self.terms.len() < MOST => {
                let part = rng.below(self.parts.len() as u32) as usize;
                let path = format!("p{part}.w{}", self.terms.len());
                let term = Term::new(rng, path, part);
                term.create(&self.params);
                let mut alone = Alone::new(&term, &self.parts[part]);
                let group = self.parts[part].options.first_group;
                let rate = self.session.learning_rate_of(group);
                alone.session.set_learning_rate(rate);
                self.alone.push(alone);
                self.terms.push(term);
                self.compile();
            }
            8 => {
                let part = rng.below(self.parts.len() as u32) as usize;
                let group = self.parts[part].options.first_group;
                let rate = 0.5 * self.session.learning_rate_of(group);
                self.session.set_learning_rate_of(group, rate);
                for (term, alone) in self.terms.iter().zip(&mut self.alone) {
                    if term.part == part {
                        alone.session.set_learning_rate(rate);
                    }
                }
            }
            _ => {}
        }
    }

    fn freeze(&mut self, k: usize, frozen: bool) {
        self.alone[k].frozen = frozen;
        let path = &self.terms[k].path;
        let marked = match frozen {
            true => self.params.freeze(path),
            false => self.params.thaw(path),
        };
        assert_eq!(marked.unwrap(), 1);
    }

    /// Go on in another session, from files.
    fn stop(&mut self) {
        let folder = tempfile::TempDir::new().unwrap();
        let [weights, optimizer] = ["w", "o"].map(|name| folder.path().join(name));
        self.session.save(&weights).unwrap();
        self.session.save_optimizer(&optimizer).unwrap();
        self.steps.clear();
        self.params = Params::new(1);
        for (term, alone) in self.terms.iter().zip(&self.alone) {
            let other = Term {
                first: vec![7.0; term.first.len()],
                ..term.clone()
            };
            other.create(&self.params);
            if alone.frozen {
                self.params.freeze(&term.path).unwrap();
            }
        }
        self.session = self.pass.open(&self.params).unwrap();
        self.compile();
        self.session.load(&weights).unwrap();
        self.session.load_optimizer(&optimizer).unwrap();
    }

    fn run(&mut self, rng: &mut Rng) {
        for at in 0..self.steps.len() {
            if chance(rng, 20) {
                self.event(rng);
            }
            let x: Vec<f32> = (0..MOST).map(|_| number(rng, 0.5, 2.0)).collect();
            let counted = between(rng, 1, 5) as f32;
            let now = chance(rng, 5);
            if now {
                self.session.apply_next();
            }
            let arguments = [Array::vector(x.clone()), Array::scalar(counted)];
            self.session.run(&mut self.steps[at], &arguments).unwrap();
            let parts = match self.together {
                true => 0..self.parts.len(),
                false => at..at + 1,
            };
            for part in parts {
                self.follow(part, &x, counted, now);
            }
        }
    }

    /// What a run of an optimizer is for each of its parameters alone.
    fn follow(&mut self, at: usize, x: &[f32], counted: f32, now: bool) {
        let part = &mut self.parts[at];
        let counted = f64::from(if part.weighted { counted } else { 1.0 });
        part.counted += counted;
        let own = self.terms.iter().zip(&mut self.alone).zip(x);
        let mut own: Vec<_> = own.filter(|((t, _), _)| t.part == at).collect();
        for ((_, alone), x) in own.iter_mut().filter(|((_, a), _)| !a.frozen) {
            alone.pending += counted * f64::from(**x);
        }
        part.micro += 1;
        if part.micro < part.options.micro_steps && !now {
            return;
        }
        let mut scale = 1.0;
        if let Some(max) = part.options.clip_norm {
            let active = own.iter_mut().filter(|((_, a), _)| !a.frozen);
            let squares = active.map(|((term, alone), _)| {
                let w = alone.value(&term.path);
                term.square(&w, alone.pending / part.counted)
            });
            let norm = squares.sum::<f64>().sqrt();
            scale = (f64::from(max) / (norm + 1e-6)).min(1.0);
        }
        for ((_, alone), _) in own {
            let x = scale * alone.pending / part.counted;
            alone.pending = 0.0;
            if !alone.frozen {
                alone.update(x);
            }
        }
        (part.micro, part.counted) = (0, 0.0);
    }

    fn check(&mut self) {
        for (term, alone) in self.terms.iter().zip(&mut self.alone) {
            let averaged = self.parts[term.part].options.ema.is_some() && alone.updated;
            let average = averaged.then(|| format!("ema/{}", term.path));
            // What is kept for a parameter that is frozen, or was until the last run, waits outside of the session.
            let average = average.filter(|path| self.params.get(path).is_some());
            for path in std::iter::once(term.path.clone()).chain(average) {
                let want = alone.value(&path);
                let got = self.session.get(&path).unwrap().to_f32();
                for (k, (got, want)) in got.iter().zip(&want).enumerate() {
                    assert!(
                        (got - want).abs() <= 3e-5 + 1e-4 * want.abs(),
                        "{}: {path}[{k}] is {got}, alone {want}; of {:?}",
                        self.pass.name,
                        self.terms
                            .iter()
                            .map(|t| (&t.path, t.d.len()))
                            .collect::<Vec<_>>()
                    );
                }
            }
        }
    }
}

fn setup(rng: &mut Rng, pass: Pass) {
    let Some(mut setup) = Setup::new(rng, pass) else {
        return;
    };
    for _ in 0..between(rng, 3, 12) {
        setup.run(rng);
    }
    setup.check();
}

#[test]
fn parameters_end_where_they_end_alone() {
    draws("training set-ups", 400, |rng| setup(rng, cpu()));
}

#[test]
fn on_the_gpu_too() {
    draws("training set-ups, gpu", 12, |rng| {
        let pass = if chance(rng, 50) { gpu() } else { lockstep() };
        setup(rng, pass);
    });
}
