//! Data sets and models by name, from the Hugging Face hub or one like it.
//!
//! ```no_run
//! # fn main() -> wgrad::Result<()> {
//! # let params = wgrad::Params::new(0);
//! # let mut session = wgrad::Session::new(&params)?;
//! use wgrad::hub::Hub;
//! let hub = Hub::new()?;
//! session.load(hub.model("google-bert/bert-base-cased").weight_file()?)?;
//! let train = hub.dataset("stanfordnlp/imdb").file("plain_text/train-00000-of-00001.parquet")?;
//! # Ok(()) }
//! ```

mod transfer;

use crate::error::{Error, Result};
use crate::weights::{Reader, shard_files};
use hf_hub::{Cache, Repo, RepoType};
use std::path::{Path, PathBuf};
use transfer::{Client, Described, Fault};

const ENDPOINT: &str = "https://huggingface.co";

/// A token of the hub. It is sent to the hub's own address and nowhere else, also where that redirects to another one, and
/// nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Where files come from and where they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// Folder of the cache, which holds `hub/`; by default `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME` or in the
    /// home folder's `.cache`.
    pub home: Option<PathBuf>,
    /// Address of the hub; by default `HF_ENDPOINT`, else that of Hugging Face.
    pub endpoint: Option<String>,
    /// For repositories that are private or gated; by default `HF_TOKEN`, else the file that `HF_TOKEN_PATH` names, else
    /// the file `token` in the folder of the cache, where `hf auth login` keeps it.
    pub token: Option<Token>,
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
            token: None,
            offline: None,
            progress: true,
        }
    }
}

/// A hub. Files that were had once are taken from the cache, without asking again; it is laid out as Python's
/// `huggingface_hub` lays it out, and shared with it.
#[derive(Debug, Clone)]
pub struct Hub {
    /// None where it is offline.
    client: Option<Client>,
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
    /// As [`Hub::with_options`].
    pub fn new() -> Result<Self> {
        Self::with_options(&HubOptions::default())
    }

    /// A hub as `options` says.
    ///
    /// # Errors
    /// [`Error::Argument`] for an address or a token that is none, and where there is neither `HF_HOME` nor a home
    /// folder.
    pub fn with_options(options: &HubOptions) -> Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let home = options.home.clone().or_else(|| {
            let caches = || Some(std::env::home_dir()?.join(".cache"));
            let of_cache = |folder: PathBuf| folder.join("huggingface");
            let cache = || set("XDG_CACHE_HOME").map(Into::into).or_else(caches);
            set("HF_HOME")
                .map(Into::into)
                .or_else(|| cache().map(of_cache))
        });
        let Some(home) = home else {
            return Err(Error::argument(
                "no home folder to keep files in: set HF_HOME",
            ));
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
        let client = match options.offline.unwrap_or(said) {
            true => None,
            false => {
                let file = || {
                    let file = set("HF_TOKEN_PATH").map_or_else(|| home.join("token"), Into::into);
                    std::fs::read_to_string(file).ok()
                };
                let kept = || set("HF_TOKEN").or_else(file);
                let token = options.token.clone();
                let token = token.or_else(|| kept().map(|text| Token::from(text.as_str())));
                let token = token.filter(|t| !t.0.is_empty());
                if token
                    .as_ref()
                    .is_some_and(|t| !t.0.chars().all(|c| c.is_ascii_graphic()))
                {
                    return Err(Error::argument(
                        "the hub's token (HF_TOKEN) has spaces or letters that no token has",
                    ));
                }
                Some(Client::new(&endpoint, token, options.progress))
            }
        };
        Ok(Self {
            client,
            cache: Cache::new(home.join("hub")),
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
        let outcome = self.find(name)?;
        outcome.map_err(|fault| self.fault(&format!("{name} of {self}"), fault))
    }

    /// A file, or why it is not to be had.
    fn find(&self, name: &str) -> Result<std::result::Result<PathBuf, Fault>> {
        let repo = self.repo()?;
        let plain =
            |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '?', '#']);
        if !name.split('/').all(plain) {
            return Err(Error::argument(format!(
                "'{name}' is not a file's path in {self}"
            )));
        }
        if let Some(path) = self.cached(&repo, name) {
            return Ok(Ok(path));
        }
        let Some(client) = &self.hub.client else {
            return Ok(Err(Fault::Offline));
        };
        let url = format!(
            "{}/{}{}/resolve/{}/{}",
            self.hub.endpoint,
            match self.kind {
                RepoType::Dataset => "datasets/",
                _ => "",
            },
            self.name,
            self.revision.replace('/', "%2F"),
            name.replace('%', "%25")
        );
        Ok(self.bring(client, &repo, &url, name))
    }

    /// Where a file of the cache is.
    fn cached(&self, repo: &Repo, name: &str) -> Option<PathBuf> {
        let found = self.hub.cache.repo(repo.clone()).get(name);
        found.or_else(|| {
            let folder = self.hub.cache.path().join(repo.folder_name());
            let path = folder.join("snapshots").join(&self.revision).join(name);
            let is_commit = self.revision.len() == 40;
            path.exists().then_some(path).filter(|_| is_commit)
        })
    }

    /// Bring a file into the cache.
    fn bring(&self, client: &Client, repo: &Repo, url: &str, name: &str) -> Result<PathBuf, Fault> {
        let Described { commit, etag, size } = client.describe(url)?;
        let folder = self.hub.cache.path().join(repo.folder_name());
        let blob = folder.join("blobs").join(&etag);
        let snapshot = folder.join("snapshots").join(&commit);
        let path = snapshot.join(name);
        std::fs::create_dir_all(folder.join("blobs"))?;
        std::fs::create_dir_all(path.parent().unwrap_or(&snapshot))?;
        if !blob.exists() {
            client.fetch(url, size, &blob, name)?;
        }
        // From snapshots/COMMIT/a/b up to the repository's folder, and down again.
        let up = "../".repeat(2 + name.split('/').count() - 1);
        match link(&Path::new(&up).join("blobs").join(&etag), &path) {
            _ if path.exists() => {}
            Ok(()) => {}
            Err(_) => drop(std::fs::copy(&blob, &path)?), // no links on this file system
        }
        if commit != self.revision {
            self.hub.cache.repo(repo.clone()).create_ref(&commit)?;
        }
        Ok(path)
    }

    /// Paths of all files, asked from the hub.
    ///
    /// # Errors
    /// As [`Repository::file`]; [`Error::Hub`] where the hub is offline.
    pub fn files(&self) -> Result<Vec<String>> {
        self.repo()?;
        let Some(client) = &self.hub.client else {
            return Err(Error::Hub(format!(
                "the files of {self} cannot be listed: the hub is offline (HF_HUB_OFFLINE)"
            )));
        };
        let url = format!(
            "{}/api/{}/{}/revision/{}",
            self.hub.endpoint,
            match self.kind {
                RepoType::Dataset => "datasets",
                _ => "models",
            },
            self.name,
            self.revision.replace('/', "%2F")
        );
        let what = format!("the files of {self}");
        let json = client.json(&url).map_err(|e| self.fault(&what, e))?;
        let siblings = json["siblings"].as_array();
        let name = |s: &serde_json::Value| Some(s["rfilename"].as_str()?.to_owned());
        let names = siblings.and_then(|all| all.iter().map(name).collect());
        names.ok_or_else(|| self.fault(&what, Fault::Odd("no siblings in the JSON".to_owned())))
    }

    /// Its weights, opened: `model.safetensors`, or where there is no such file the shards that
    /// `model.safetensors.index.json` names, all of which come.
    ///
    /// # Errors
    /// As [`Repository::file`] and [`Reader::open`].
    pub fn weights(&self) -> Result<Reader> {
        Reader::open(self.weight_file()?)
    }

    /// Where its weights lie in the cache, into which they come: the file, or the index with all its shards beside it, for
    /// [`Session::load`](crate::Session::load).
    ///
    /// # Errors
    /// As [`Repository::weights`].
    pub fn weight_file(&self) -> Result<PathBuf> {
        const WHOLE: &str = "model.safetensors";
        let fault = match self.find(WHOLE)? {
            Ok(path) => return Ok(path),
            Err(fault) => fault,
        };
        let index = match fault.is_absence() {
            true => self.find("model.safetensors.index.json")?,
            false => return Err(self.fault(&format!("{WHOLE} of {self}"), fault)),
        };
        let index = match index {
            Ok(path) => path,
            Err(other) => {
                let fault = if other.is_absence() { fault } else { other };
                return Err(self.fault(&format!("{WHOLE} of {self}"), fault));
            }
        };
        for shard in shard_files(&index)? {
            self.file(&shard)?;
        }
        Ok(index)
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

    fn fault(&self, what: &str, fault: Fault) -> Error {
        let endpoint = &self.hub.endpoint;
        let token = self.hub.client.as_ref().is_some_and(Client::has_token);
        Error::Hub(match fault {
            Fault::Offline => {
                let cache = self.hub.cache.path().display();
                format!(
                    "{what} is not in the cache ({cache}), and the hub is offline (HF_HUB_OFFLINE)"
                )
            }
            Fault::Status(status, code) => {
                let why = match (status, code.as_deref(), token) {
                    (_, Some("RevisionNotFound"), _) => "there is no such revision",
                    (_, Some("EntryNotFound"), _) => "there is no such file",
                    (_, Some("RepoNotFound"), false) | (401, None, false) => {
                        "there is none of that name, or it needs a token (HF_TOKEN, or hf auth login)"
                    }
                    (_, Some("RepoNotFound"), true) => {
                        "there is none of that name, or the token may not see it"
                    }
                    (_, Some("GatedRepo"), false) | (403, _, false) => {
                        "access is to be asked for on its page, and needs a token (HF_TOKEN, or hf auth login)"
                    }
                    (_, Some("GatedRepo"), true) | (403, _, true) => {
                        "the token has no access: ask for it on its page"
                    }
                    (401, _, true) => "the token is not one that the hub knows",
                    (404, _, _) => "there is no such file",
                    (429, _, _) => "too many requests: try again later",
                    (500.., _, _) => "the hub failed: try again later",
                    _ => "the hub refused",
                };
                format!("{what}: {why} ({endpoint}, status {status})")
            }
            Fault::Unreached(why) => format!(
                "{what}: {endpoint} cannot be reached ({why}); with HF_HUB_OFFLINE=1 the cache alone is used"
            ),
            Fault::Odd(why) => format!("{what}: {endpoint} does not answer as a hub does: {why}"),
            Fault::Size { got, size, why } => {
                let why = match why.as_str() {
                    "" => String::new(),
                    why => format!(" ({why})"),
                };
                match got > size {
                    true => format!("{what}: more came than the {size} bytes that {endpoint} said"),
                    false => format!(
                        "{what}: the download broke off after {got} of {size} bytes{why}; the next one goes on from there"
                    ),
                }
            }
            Fault::Io(error) => {
                let cache = self.hub.cache.path().display();
                format!("{what}: the cache ({cache}) cannot be written: {error}")
            }
        })
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(windows)]
fn link(to: &Path, at: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(to, at)
}

#[cfg(not(any(unix, windows)))]
fn link(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
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
