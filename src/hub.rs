//! Data sets and models by name, from the Hugging Face hub or one like it.
//!
//! ```no_run
//! # fn main() -> wgrad::Result<()> {
//! # let params = wgrad::Params::new(0);
//! # let mut session = wgrad::Session::new(&params)?;
//! use wgrad::hub::Hub;
//! let hub = Hub::new()?;
//! session.load(hub.model("google-bert/bert-base-cased").file("model.safetensors")?)?;
//! let train = hub.dataset("stanfordnlp/imdb").file("plain_text/train-00000-of-00001.parquet")?;
//! # Ok(()) }
//! ```

use crate::error::{Error, Result};
use crate::weights::Reader;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use std::path::PathBuf;

const ENDPOINT: &str = "https://huggingface.co";

/// Where files come from and where they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// Folder of the cache, which holds `hub/`; by default `HF_HOME`, else `.cache/huggingface` in the home folder.
    pub home: Option<PathBuf>,
    /// Address of the hub; by default `HF_ENDPOINT`, else that of Hugging Face.
    pub endpoint: Option<String>,
    /// Take files from the cache alone; by default what `HF_HUB_OFFLINE` says (1, on, yes, true), else no.
    pub offline: Option<bool>,
    /// Show a bar while a file comes; true by default.
    pub progress: bool,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            home: None,
            endpoint: None,
            offline: None,
            progress: true,
        }
    }
}

/// A hub. Files that were had once are taken from the cache, without asking again; it is laid out as Python's
/// `huggingface_hub` lays it out, and shared with it. A token that `huggingface-cli login` kept is sent along.
#[derive(Debug, Clone)]
pub struct Hub {
    /// None where it is offline.
    api: Option<Api>,
    cache: Cache,
    endpoint: String,
}

/// A model or a data set of a hub.
#[derive(Debug, Clone)]
pub struct Repository<'h> {
    hub: &'h Hub,
    kind: RepoType,
    name: String,
    revision: String,
}

impl Hub {
    /// The hub that the environment names: see [`HubOptions`].
    ///
    /// # Errors
    /// [`Error::Argument`] for an address that is none.
    pub fn new() -> Result<Self> {
        Self::with_options(&HubOptions::default())
    }

    /// A hub as `options` says.
    ///
    /// # Errors
    /// [`Error::Argument`] for an address that is none, and where there is neither `HF_HOME` nor a home folder.
    pub fn with_options(options: &HubOptions) -> Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let home = options
            .home
            .clone()
            .or_else(|| set("HF_HOME").map(Into::into));
        let cache = match home {
            Some(home) => Cache::new(home.join("hub")),
            None if std::env::home_dir().is_some() => Cache::default(),
            None => {
                return Err(Error::argument(
                    "no home folder to keep files in: set HF_HOME",
                ));
            }
        };
        let endpoint = options.endpoint.clone().or_else(|| set("HF_ENDPOINT"));
        let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(Error::argument(format!(
                "the hub's address '{endpoint}' (HF_ENDPOINT) begins with neither https:// nor http://"
            )));
        }
        let said = set("HF_HUB_OFFLINE").is_some_and(|v| {
            let yes = ["1", "on", "yes", "true"];
            yes.contains(&v.to_lowercase().as_str())
        });
        let api = match options.offline.unwrap_or(said) {
            true => None,
            false => Some(
                ApiBuilder::from_cache(cache.clone())
                    .with_endpoint(endpoint.clone())
                    .with_progress(options.progress)
                    .build()
                    .map_err(|e| Error::Hub(e.to_string()))?,
            ),
        };
        Ok(Self {
            api,
            cache,
            endpoint,
        })
    }

    /// The model `name`, `owner/model`.
    pub fn model(&self, name: &str) -> Repository<'_> {
        self.repository(RepoType::Model, name)
    }

    /// The data set `name`, `owner/dataset`.
    pub fn dataset(&self, name: &str) -> Repository<'_> {
        self.repository(RepoType::Dataset, name)
    }

    fn repository(&self, kind: RepoType, name: &str) -> Repository<'_> {
        Repository {
            hub: self,
            kind,
            name: name.to_owned(),
            revision: "main".to_owned(),
        }
    }
}

impl Repository<'_> {
    /// The same at another branch, tag or commit; `main` by default.
    pub fn revision(mut self, revision: &str) -> Self {
        self.revision = revision.to_owned();
        self
    }

    /// Where file `name` lies in the cache, into which it comes if it is not there.
    ///
    /// # Errors
    /// [`Error::Hub`] where there is no such file, or where it is not in the cache and the hub is offline or not to be
    /// reached; [`Error::Argument`] for names that are none.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        let repo = self.repo()?;
        let plain =
            |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '?', '#']);
        if !name.split('/').all(plain) {
            return Err(Error::argument(format!(
                "'{name}' is not a file's path in {self}"
            )));
        }
        if let Some(path) = self.hub.cache.repo(repo.clone()).get(name) {
            return Ok(path);
        }
        let Some(api) = &self.hub.api else {
            let cache = self.hub.cache.path().display();
            return Err(Error::Hub(format!(
                "{name} of {self} is not in the cache ({cache}), and the hub is offline (HF_HUB_OFFLINE)"
            )));
        };
        let path = api.repo(repo).get(name);
        path.map_err(|e| self.fault(&format!("{name} of {self}"), e))
    }

    /// Paths of all files, asked from the hub.
    ///
    /// # Errors
    /// As [`Repository::file`]; [`Error::Hub`] where the hub is offline.
    pub fn files(&self) -> Result<Vec<String>> {
        let repo = self.repo()?;
        let Some(api) = &self.hub.api else {
            return Err(Error::Hub(format!(
                "the files of {self} cannot be listed: the hub is offline (HF_HUB_OFFLINE)"
            )));
        };
        let info = api.repo(repo).info();
        let info = info.map_err(|e| self.fault(&format!("the files of {self}"), e))?;
        Ok(info.siblings.into_iter().map(|s| s.rfilename).collect())
    }

    /// Its `model.safetensors`, opened.
    ///
    /// # Errors
    /// As [`Repository::file`] and [`Reader::open`].
    pub fn weights(&self) -> Result<Reader> {
        Reader::open(self.file("model.safetensors")?)
    }

    fn repo(&self) -> Result<Repo> {
        let word = |w: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !w.is_empty()
                && w.chars().all(allowed)
                && !w.contains("..")
                && !w.starts_with(['.', '-'])
        };
        let parts: Vec<&str> = self.name.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|p| word(p)) {
            return Err(Error::argument(format!(
                "'{}' is not a name on the hub: owner/name, of letters, digits, '.', '_' and '-'",
                self.name
            )));
        }
        if !self.revision.split('/').all(word) {
            return Err(Error::argument(format!(
                "'{}' is not a branch, tag or commit",
                self.revision
            )));
        }
        Ok(Repo::with_revision(
            self.name.clone(),
            self.kind,
            self.revision.clone(),
        ))
    }

    fn fault(&self, what: &str, error: ApiError) -> Error {
        let endpoint = &self.hub.endpoint;
        Error::Hub(match error {
            ApiError::RequestError(error) => {
                let text = error.to_string();
                match error.into_response() {
                    Some(answer) => {
                        let (status, code) = (answer.status(), answer.header("x-error-code"));
                        let why = match (status, code) {
                            (_, Some("RepoNotFound")) | (401, None) => {
                                "there is none of that name, or it needs a token (huggingface-cli login)"
                            }
                            (_, Some("RevisionNotFound")) => "there is no such revision",
                            (_, Some("EntryNotFound")) | (404, None) => "there is no such file",
                            (403, _) | (_, Some("GatedRepo")) => {
                                "it is to be asked for on its page, and needs a token (huggingface-cli login)"
                            }
                            _ => "the hub refused",
                        };
                        format!("{what}: {why} ({endpoint}, status {status})")
                    }
                    None => format!(
                        "{what}: {endpoint} cannot be reached ({text}); with HF_HUB_OFFLINE=1 the cache alone is used"
                    ),
                }
            }
            ApiError::MissingHeader(name) | ApiError::InvalidHeader(name) => {
                format!("{what}: {endpoint} does not answer as a hub does: header {name}")
            }
            other => format!("{what}: {other}"),
        })
    }
}

impl std::fmt::Display for Repository<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            RepoType::Dataset => "data set",
            _ => "model",
        };
        write!(f, "{kind} {}", self.name)?;
        if self.revision != "main" {
            write!(f, " at {}", self.revision)?;
        }
        Ok(())
    }
}
