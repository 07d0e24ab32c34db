//! Which layers are in evaluation mode while others train.

use super::Params;
use crate::error::{Error, Result};
use crate::glob;

impl Params {
    /// Have the layers that `pattern` stands for be in evaluation mode also where a function trains, and return how many
    /// they are, as `model.backbone.eval()` of PyTorch: their dropout drops nothing, their running statistics are used and
    /// stay as they are. Their parameters are trained all the same: [`Params::freeze`] is what keeps them. Paths are those
    /// of layers from the root: `backbone` is that layer and all below it, `*` is all, as [`crate::glob::matches`] reads it.
    ///
    /// It may be called between runs: training functions are compiled anew.
    ///
    /// ```
    /// use wgrad::nn::{BatchNorm1d, Dropout, Linear, Sequential};
    /// use wgrad::Params;
    /// let params = Params::new(0);
    /// let backbone = Sequential::new(&params.at("backbone")).add(Linear::new(4, 8));
    /// let backbone = backbone.add(BatchNorm1d::new(8)).add(Dropout::new(0.5));
    /// assert_eq!(params.eval("backbone")?, 4); // the container and three layers
    /// assert_eq!(params.train("backbone.2")?, 1); // its dropout drops again
    /// # drop(backbone);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// A pattern that stands for no layer, or is none.
    pub fn eval(&self, pattern: &str) -> Result<usize> {
        self.mark_layers(pattern, true)
    }

    /// Have the layers that `pattern` stands for be as the function is again, in training mode where it trains: the opposite
    /// of [`Params::eval`], as `model.backbone.train()`.
    ///
    /// # Errors
    /// A pattern that stands for no layer, or is none.
    pub fn train(&self, pattern: &str) -> Result<usize> {
        self.mark_layers(pattern, false)
    }

    fn mark_layers(&self, pattern: &str, evaluates: bool) -> Result<usize> {
        glob::check(pattern).map_err(Error::Argument)?;
        let mut store = self.lock();
        let meant = |path: &&str| {
            let whole = pattern == "*" && path.is_empty();
            whole || glob::matches(pattern, path)
        };
        let layers = store.layers();
        let meant = layers.iter().copied().filter(meant).map(str::to_owned);
        let meant: Vec<String> = meant.collect();
        if meant.is_empty() {
            let mut some = layers.into_iter().filter(|p| !p.is_empty());
            let first: Vec<&str> = some.by_ref().take(4).collect();
            let more = if some.next().is_some() { ", ..." } else { "" };
            return Err(Error::Argument(format!(
                "the pattern '{pattern}' stands for no layer: there are {}{more}",
                first.join(", ")
            )));
        }
        // A layer that is shared traces itself where it was built, and those inside of it do.
        let shared: Vec<String> = meant.iter().filter_map(|p| store.lies_at(p)).collect();
        let inside = |path: &str| shared.iter().any(|place| glob::matches(place, path));
        let places = store.layers().into_iter().filter(|p| inside(p));
        let places: Vec<String> = places.map(str::to_owned).chain(meant.clone()).collect();
        for place in places {
            store.modes += u64::from(match evaluates {
                true => store.evaluates.insert(place),
                false => store.evaluates.remove(&place),
            });
        }
        Ok(meant.len())
    }

    /// Whether the layer at `path` is in evaluation mode; `None` where no layer is known by that path.
    pub(crate) fn evaluates(&self, path: &str) -> Option<bool> {
        let store = self.lock();
        if store.evaluates.is_empty() {
            return None;
        }
        let known = store.evaluates.contains(path);
        (known || store.layers().contains(&path)).then_some(known)
    }

    /// A number that changes with the mode of a layer: functions that train are compiled for one.
    pub(crate) fn modes(&self) -> u64 {
        self.lock().modes
    }
}
