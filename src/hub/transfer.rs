//! How files come: what the hub says of a file, the bytes themselves, checked against the size that it said.

use super::Token;
use indicatif::ProgressBar;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use ureq::{Agent, Response};

/// Most redirects from one address to the next.
const REDIRECTS: usize = 8;
/// Times that a broken download is taken up again without a byte having come.
const ATTEMPTS: usize = 3;

/// One who asks a hub.
#[derive(Debug, Clone)]
pub(super) struct Client {
    agent: Agent,
    /// Where `token` goes, and nowhere else.
    origin: String,
    token: Option<Token>,
    progress: bool,
}

/// What the hub says of a file.
#[derive(Debug)]
pub(super) struct Described {
    pub commit: String,
    /// What the content is kept as.
    pub etag: String,
    pub size: u64,
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// The hub is not asked, and the cache has it not.
    Offline,
    /// A status of 400 or more, with the hub's own code for why.
    Status(u16, Option<String>),
    /// It cannot be reached, or the connection broke.
    Unreached(String),
    /// It does not answer as a hub does.
    Odd(String),
    /// Less came, or more, than the size that was said.
    Size {
        got: u64,
        size: u64,
        why: String,
    },
    Io(std::io::Error),
}

impl Fault {
    /// Whether there is no such file, or none that can be had without asking.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Offline => true,
            Self::Status(404, code) => code.as_deref().is_none_or(|c| c == "EntryNotFound"),
            _ => false,
        }
    }
}

impl From<ureq::Error> for Fault {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Status(status, answer) => {
                Self::Status(status, answer.header("x-error-code").map(str::to_owned))
            }
            ureq::Error::Transport(t) => {
                // without the address, which may be a signed one
                let url = t.url().map(|u| format!("{u}: ")).unwrap_or_default();
                let text = t.to_string();
                Self::Unreached(text.strip_prefix(&url).unwrap_or(&text).to_owned())
            }
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Scheme, host and port of an address, as it writes them.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

impl Client {
    pub fn new(endpoint: &str, token: Option<Token>, progress: bool) -> Self {
        let agent = ureq::AgentBuilder::new()
            .try_proxy_from_env(true)
            .redirects(0)
            .timeout_connect(Duration::from_secs(10))
            .timeout_read(Duration::from_secs(60))
            .user_agent(concat!("wgrad/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent,
            origin: origin(endpoint).to_owned(),
            token,
            progress,
        }
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The answer to `method` at `url` or where it redirects to; for HEAD only within its own server, whose headers tell
    /// what is elsewhere.
    fn ask(&self, method: &str, url: &str, from: u64) -> Result<Response, Fault> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.request(method, &url);
            request = request.set("Accept-Encoding", "identity");
            if let Some(token) = self.token.as_ref().filter(|_| origin(&url) == self.origin) {
                request = request.set("Authorization", &format!("Bearer {}", token.0));
            }
            if from > 0 {
                request = request.set("Range", &format!("bytes={from}-"));
            }
            let answer = request.call()?;
            if !matches!(answer.status(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let Some(to) = answer.header("location") else {
                return Err(Fault::Odd("a redirect without header location".to_owned()));
            };
            let scheme = url.split("//").next().unwrap_or_default();
            let next = match to {
                _ if to.starts_with("http://") || to.starts_with("https://") => to.to_owned(),
                _ if to.starts_with("//") => format!("{scheme}{to}"),
                _ if to.starts_with('/') => format!("{}{to}", origin(&url)),
                _ => return Err(Fault::Odd(format!("a redirect to '{to}'"))),
            };
            if method == "HEAD" && origin(&next) != origin(&url) {
                return Ok(answer);
            }
            url = next;
        }
        Err(Fault::Odd(format!("more than {REDIRECTS} redirects")))
    }

    /// The JSON that lies at `url`.
    pub fn json(&self, url: &str) -> Result<serde_json::Value, Fault> {
        let answer = self.ask("GET", url, 0)?;
        serde_json::from_reader(answer.into_reader()).map_err(|e| match e.is_io() {
            true => Fault::Unreached(e.to_string()),
            false => Fault::Odd(format!("not JSON: {e}")),
        })
    }

    /// What the hub says of the file at `url`.
    pub fn describe(&self, url: &str) -> Result<Described, Fault> {
        let answer = self.ask("HEAD", url, 0)?;
        // Headers become names of files.
        let word = |names: [&str; 2]| {
            let found = names.iter().find_map(|n| answer.header(n));
            let text = found.map(|e| e.trim_start_matches("W/").trim_matches('"'));
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let text = text.filter(|t| !t.is_empty() && t.len() < 200 && t.chars().all(plain));
            text.map(str::to_owned)
                .ok_or_else(|| Fault::Odd(format!("header {}", names[1])))
        };
        let sizes = ["x-linked-size", "content-length"];
        let size = sizes.iter().find_map(|n| answer.header(n));
        Ok(Described {
            etag: word(["x-linked-etag", "etag"])?,
            commit: word(["x-repo-commit", "x-repo-commit"])?,
            size: size
                .and_then(|s| s.parse().ok())
                .ok_or_else(|| Fault::Odd("header content-length".to_owned()))?,
        })
    }

    /// Have the `size` bytes at `url` be the file `to`. What of it came before a break is kept beside it, and taken up
    /// again; of two processes that want the same file, one waits for the other.
    pub fn fetch(&self, url: &str, size: u64, to: &Path, name: &str) -> Result<(), Fault> {
        let part = to.with_extension("incomplete");
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&part)?;
        file.lock()?;
        if to.exists() {
            return Ok(());
        }
        let bar = match self.progress {
            true => ProgressBar::new(size).with_message(name.to_owned()),
            false => ProgressBar::hidden(),
        };
        let mut attempts = 0;
        loop {
            let had = file.metadata()?.len();
            if had == size {
                break;
            }
            let why = match self.pour(url, size, &mut file, &bar) {
                Ok(()) => String::new(),
                Err(Fault::Unreached(why)) => why,
                Err(fault) => return Err(fault),
            };
            let got = file.metadata()?.len();
            if got > size {
                file.set_len(0)?;
                return Err(Fault::Size { got, size, why });
            }
            attempts = if got > had { 1 } else { attempts + 1 };
            if got < size && attempts == ATTEMPTS {
                return Err(match got {
                    0 if !why.is_empty() => Fault::Unreached(why),
                    _ => Fault::Size { got, size, why },
                });
            }
        }
        bar.finish_and_clear();
        file.sync_all()?;
        drop(file); // Windows refuses to rename open files
        match std::fs::rename(&part, to) {
            Err(e) if !to.exists() => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Append to `file` what is missing of the bytes at `url`, at most one more than `size`.
    fn pour(&self, url: &str, size: u64, file: &mut File, bar: &ProgressBar) -> Result<(), Fault> {
        let mut had = file.metadata()?.len();
        if had > size {
            file.set_len(0)?;
            had = 0;
        }
        let answer = self.ask("GET", url, had)?;
        let begins = answer.header("content-range").and_then(|r| {
            let (start, _) = r.strip_prefix("bytes ")?.split_once('-')?;
            start.parse::<u64>().ok()
        });
        if had > 0 && (answer.status() != 206 || begins != Some(had)) {
            file.set_len(0)?; // all of it comes
            had = 0;
            if answer.status() == 206 {
                return Ok(());
            }
        }
        file.seek(SeekFrom::End(0))?;
        bar.set_position(had);
        let mut body = answer.into_reader().take(size + 1 - had);
        let mut block = vec![0; 1 << 16];
        loop {
            let n = match body.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(Fault::Unreached(e.to_string())),
            };
            file.write_all(&block[..n])?;
            bar.inc(n as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn an_origin_is_all_up_to_the_path() {
        for (url, want) in [
            ("https://huggingface.co", "https://huggingface.co"),
            ("https://huggingface.co/a/b", "https://huggingface.co"),
            ("http://127.0.0.1:80/x", "http://127.0.0.1:80"),
            ("https://a@b/c", "https://a@b"),
            ("https://a.co.evil/c", "https://a.co.evil"),
        ] {
            assert_eq!(origin(url), want);
        }
    }
}
