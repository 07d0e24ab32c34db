//! Parameters and buffers as layers make them.

use super::{Initial, Initializer, Param, Params, State, StateKind, join};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Site};
use crate::graph::TensorType;
use crate::rng::Rng;
use crate::shape::Shape;
use std::sync::Arc;

impl Params {
    /// Create the parameter `name` of this layer, with what `init` draws from a generator of its own: a closure that is
    /// given the generator and the number of elements, or a function of [`nn::init`](crate::nn::init). For
    /// [`Init`](crate::nn::init::Init) there is [`Params::parameter_with`]. The values are kept for sessions to take; those
    /// of [`Params::drawn`] are not.
    #[track_caller]
    pub fn parameter(
        &self,
        name: &str,
        shape: impl Into<Shape>,
        init: impl FnOnce(&mut Rng, usize) -> Vec<f32>,
    ) -> Param {
        let (path, shape, site) = (join(&self.prefix, name), shape.into(), Site::here());
        let room = |n: &usize| Vec::<f32>::new().try_reserve_exact(*n).is_ok();
        let Some(n) = count(&shape).filter(room) else {
            return self.too_large(path, &shape, site);
        };
        let values = init(&mut Rng::new(self.seed, &path), n);
        if values.len() != n {
            self.refuse(
                &path,
                &format!("{shape}: {} values were drawn", values.len()),
                site,
            );
            return self.create(path, StateKind::Parameter, Array::zeros([0]), site);
        }
        self.create(path, StateKind::Parameter, Array::of(shape, values), site)
    }

    /// As [`Params::parameter`], with what can be drawn again: each session draws the values when it takes them, and the
    /// host keeps none. So are the parameters of layers.
    ///
    /// ```
    /// use wgrad::{Params, nn::init};
    /// let params = Params::new(42);
    /// let table = params.drawn("table", [50257, 768], init::normal(0.0, 0.02));
    /// assert_eq!(table.shape.numel(), 50257 * 768);
    /// ```
    #[track_caller]
    pub fn drawn(
        &self,
        name: &str,
        shape: impl Into<Shape>,
        init: impl Fn(&mut Rng, usize) -> Vec<f32> + Send + Sync + 'static,
    ) -> Param {
        let (path, shape, site) = (join(&self.prefix, name), shape.into(), Site::here());
        if count(&shape).is_none() {
            return self.too_large(path, &shape, site);
        }
        let draw = move |rng: &mut Rng, shape: &Shape| {
            let values = init(rng, shape.numel());
            match values.len() == shape.numel() {
                true => Ok(values),
                false => Err(format!("{shape}: {} values were drawn", values.len())),
            }
        };
        let init = Initial::drawn(
            self.seed,
            path.as_str().into(),
            shape.clone(),
            Arc::new(draw),
        );
        let ty = TensorType::f32(shape);
        self.create_as(path, StateKind::Parameter, ty, init, site)
    }

    fn too_large(&self, path: String, shape: &Shape, site: Site) -> Param {
        let message = format!("{shape} has more elements than memory can hold");
        self.refuse(&path, &message, site);
        self.create(path, StateKind::Parameter, Array::zeros([0]), site)
    }

    /// Create the parameter `name` of this layer, with what `init` draws for its shape: `nn.Parameter(torch.empty(shape))`
    /// and a function of `torch.nn.init`.
    ///
    /// ```
    /// use wgrad::{Params, nn::init::Init};
    /// let params = Params::new(42);
    /// let w = params.parameter_with("w", [3, 4], Init::normal(0.0, 0.02));
    /// assert_eq!(w.shape[..], [3, 4]);
    /// ```
    ///
    /// What cannot be drawn for such a shape is an error that [`Session::new`](crate::Session::new) returns.
    #[track_caller]
    pub fn parameter_with(
        &self,
        name: &str,
        shape: impl Into<Shape>,
        init: impl Initializer,
    ) -> Param {
        let (path, shape, site) = (join(&self.prefix, name), shape.into(), Site::here());
        if count(&shape).is_none() {
            return self.too_large(path, &shape, site);
        }
        let init = self.initial(&path, &shape, &init).unwrap_or_else(|why| {
            self.refuse(&path, &format!("{shape}: {why}"), site);
            Initial::fill(shape.clone(), 0.0)
        });
        let ty = TensorType::f32(shape);
        self.create_as(path, StateKind::Parameter, ty, init, site)
    }

    /// What `with` draws for the parameter at `path`, or what draws it again for each session.
    pub(super) fn initial(
        &self,
        path: &str,
        shape: &Shape,
        with: &impl Initializer,
    ) -> Result<Initial, String> {
        if let Some(again) = with.again(shape)? {
            let draw = move |rng: &mut Rng, shape: &Shape| again.values(rng, shape);
            return Ok(Initial::drawn(
                self.seed,
                path.into(),
                shape.clone(),
                Arc::new(draw),
            ));
        }
        let values = with.values(&mut Rng::new(self.seed, path), shape)?;
        match values.len() == shape.numel() {
            true => Ok(Initial::kept(Array::of(shape.clone(), values))),
            false => Err(format!("{} values were drawn", values.len())),
        }
    }

    /// Create the buffer `name` of this layer: state that is saved with the model and that no optimizer changes.
    #[track_caller]
    pub fn buffer(&self, name: &str, value: Array) -> Param {
        self.create(
            join(&self.prefix, name),
            StateKind::Buffer,
            value,
            Site::here(),
        )
    }

    fn create(&self, path: String, kind: StateKind, value: Array, site: Site) -> Param {
        let ty = TensorType::of(&value);
        self.create_as(path, kind, ty, Initial::kept(value), site)
    }

    fn create_as(
        &self,
        path: String,
        kind: StateKind,
        ty: TensorType,
        init: Initial,
        site: Site,
    ) -> Param {
        let mut store = self.lock();
        store.place(&self.prefix);
        let TensorType { shape, dtype } = ty;
        let fault = if store.sealed {
            Some(
                "a function that is traced again must not create parameters: build layers outside of it",
            )
        } else if store.by_path.contains_key(path.as_str()) {
            Some("there is one of that name already")
        } else {
            None
        };
        if let Some(fault) = fault {
            store.error.get_or_insert(Error::Argument(format!(
                "parameter {path} {shape}: {fault}, at {site}"
            )));
        }
        let range = store.allocate(kind, "", shape.numel());
        let path: Arc<str> = path.into();
        store.insert(State {
            path: path.clone(),
            shape: shape.clone(),
            dtype,
            kind,
            range,
            init,
            starts_as: None,
            trainable: matches!(kind, StateKind::Parameter | StateKind::Buffer),
        });
        Param { path, shape }
    }
}

/// Elements of `shape`, where an address space holds as many.
fn count(shape: &Shape) -> Option<usize> {
    let n = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    n.filter(|n| *n <= isize::MAX as usize / DType::SIZE)
}
