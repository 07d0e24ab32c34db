//! The hub, against a small server on this machine.

use crate::fixture;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use wgrad::Error;
use wgrad::hub::{Hub, HubOptions};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub of one model and one data set; the paths that were asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = answer(&stream.unwrap(), &log);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn hub(&self, home: &Path, offline: bool) -> Hub {
        let options = HubOptions {
            home: Some(home.to_owned()),
            endpoint: Some(self.address.clone()),
            offline: Some(offline),
            progress: false,
        };
        Hub::with_options(&options).unwrap()
    }
}

fn answer(stream: &TcpStream, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut range = None;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("range: bytes=") {
            let (start, end) = value.split_once('-').unwrap();
            range = Some((start.parse::<usize>().unwrap(), end.parse::<usize>().ok()));
        }
    }
    log.lock().unwrap().push(path.clone());
    let mut out = stream;
    let mut refuse = |status: &str, code: &str| {
        write!(
            out,
            "HTTP/1.1 {status}\r\nX-Error-Code: {code}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    let content = match path.as_str() {
        "/org/tiny/resolve/main/model.safetensors" | "/org/tiny/resolve/v2/model.safetensors" => {
            std::fs::read(fixture("dtypes.safetensors"))?
        }
        "/datasets/org/words/resolve/main/data/train.txt" => b"one\ntwo\n".to_vec(),
        "/api/models/org/tiny/revision/main" => {
            let json = format!(
                r#"{{"sha":"{COMMIT}","siblings":[{{"rfilename":"model.safetensors"}},{{"rfilename":"a/b.json"}}]}}"#
            );
            json.into_bytes()
        }
        "/org/tiny/resolve/main/cut.bin" => {
            let last = "Content-Range: bytes 0-0/100\r\nContent-Length: 100\r\nConnection: close";
            return write!(
                out,
                "HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\nX-Repo-Commit: {COMMIT}\r\n{last}\r\n\r\nx"
            );
        }
        "/org/tiny/resolve/main/odd.bin" => {
            return write!(
                out,
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        "/org/tiny/resolve/main/teapot" => return refuse("500 Broken", ""),
        p if p.starts_with("/org/gated/") => return refuse("403 Forbidden", "GatedRepo"),
        p if p.starts_with("/org/tiny/resolve/main/") => {
            return refuse("404 Not Found", "EntryNotFound");
        }
        p if p.starts_with("/org/tiny/") => return refuse("404 Not Found", "RevisionNotFound"),
        _ => return refuse("401 Unauthorized", "RepoNotFound"),
    };
    let total = content.len();
    let (start, end) = range.unwrap_or((0, None));
    let end = end.map_or(total, |e| (e + 1).min(total));
    let part = &content[start..end];
    write!(
        out,
        "HTTP/1.1 206 Partial Content\r\nETag: \"{total:x}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Range: bytes {start}-{}/{total}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        end - 1,
        part.len()
    )?;
    out.write_all(part)
}

fn home() -> tempfile::TempDir {
    tempfile::TempDir::new().unwrap()
}

fn message<T: std::fmt::Debug>(result: wgrad::Result<T>) -> String {
    match result.unwrap_err() {
        Error::Hub(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_come_once_and_stay() {
    let (server, dir) = (Server::start(), home());
    let hub = server.hub(dir.path(), false);
    let reader = hub.model("org/tiny").weights().unwrap();
    assert_eq!(reader.names().len(), 12);
    assert_eq!(reader.metadata()["made_by"], "make_fixtures.py");
    let train = hub.dataset("org/words").file("data/train.txt").unwrap();
    assert_eq!(std::fs::read(&train).unwrap(), b"one\ntwo\n");
    assert!(
        train.starts_with(
            dir.path()
                .join("hub/datasets--org--words/snapshots")
                .join(COMMIT)
        )
    );
    let asked = server.asked().len();
    assert_eq!(
        hub.dataset("org/words").file("data/train.txt").unwrap(),
        train
    );
    assert_eq!(server.asked().len(), asked);
    let other = hub
        .model("org/tiny")
        .revision("v2")
        .file("model.safetensors");
    assert!(other.unwrap().exists());
    assert!(server.asked().iter().any(|p| p.contains("/v2/")));
    let files = hub.model("org/tiny").files().unwrap();
    assert_eq!(files, ["model.safetensors", "a/b.json"]);

    // offline what has come is there, what has not is not, and nobody is asked
    let (asked, offline) = (server.asked().len(), server.hub(dir.path(), true));
    assert_eq!(
        offline.dataset("org/words").file("data/train.txt").unwrap(),
        train
    );
    assert_eq!(
        offline.model("org/tiny").weights().unwrap().names().len(),
        12
    );
    let cache = dir.path().join("hub");
    assert_eq!(
        message(offline.model("org/tiny").file("config.json")),
        format!(
            "config.json of model org/tiny is not in the cache ({}), and the hub is offline (HF_HUB_OFFLINE)",
            cache.display()
        )
    );
    assert_eq!(
        message(offline.model("org/tiny").files()),
        "the files of model org/tiny cannot be listed: the hub is offline (HF_HUB_OFFLINE)"
    );
    assert_eq!(server.asked().len(), asked);
}

#[test]
fn what_is_not_there_is_named() {
    let (server, dir) = (Server::start(), home());
    let hub = server.hub(dir.path(), false);
    let at = &server.address;
    for (got, want) in [
        (
            message(hub.model("org/tiny").file("none.bin")),
            format!("none.bin of model org/tiny: there is no such file ({at}, status 404)"),
        ),
        (
            message(hub.model("org/tiny").revision("v9").file("x")),
            format!("x of model org/tiny at v9: there is no such revision ({at}, status 404)"),
        ),
        (
            message(hub.dataset("nobody/nothing").file("x")),
            format!(
                "x of data set nobody/nothing: there is none of that name, or it needs a token (huggingface-cli login) ({at}, status 401)"
            ),
        ),
        (
            message(hub.model("org/gated").file("x")),
            format!(
                "x of model org/gated: it is to be asked for on its page, and needs a token (huggingface-cli login) ({at}, status 403)"
            ),
        ),
        (
            message(hub.model("org/tiny").file("teapot")),
            format!("teapot of model org/tiny: the hub refused ({at}, status 500)"),
        ),
        (
            message(hub.model("org/tiny").file("odd.bin")),
            format!("odd.bin of model org/tiny: {at} does not answer as a hub does: header etag"),
        ),
    ] {
        assert_eq!(got, want);
    }
    // an answer that ends early leaves no file behind that would be taken for a whole one
    let cut = message(hub.model("org/tiny").file("cut.bin"));
    assert!(cut.starts_with("cut.bin of model org/tiny: "), "{cut}");
    let offline = server.hub(dir.path(), true);
    assert!(message(offline.model("org/tiny").file("cut.bin")).contains("not in the cache"));

    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = Server {
        address: format!("http://{}", gone.local_addr().unwrap()),
        asked: Arc::default(),
    };
    drop(gone);
    let text = message(nobody.hub(dir.path(), false).model("org/tiny").file("x"));
    assert!(
        text.contains("cannot be reached (")
            && text.ends_with("; with HF_HUB_OFFLINE=1 the cache alone is used"),
        "{text}"
    );
}

#[test]
fn names_that_are_none() {
    let (server, dir) = (Server::start(), home());
    let hub = server.hub(dir.path(), false);
    let argument = |result: wgrad::Result<std::path::PathBuf>| match result.unwrap_err() {
        Error::Argument(message) => message,
        other => panic!("{other:?}"),
    };
    for name in ["", "a/b/c", "../x", "a/..", "a b", "a/", "/a", "a?b", "-a"] {
        let got = argument(hub.model(name).file("x"));
        assert_eq!(
            got,
            format!(
                "'{name}' is not a name on the hub: owner/name, of letters, digits, '.', '_' and '-'"
            )
        );
    }
    for name in ["", "../x", "/etc/passwd", "a//b", "a/../b", "x?y"] {
        let got = argument(hub.model("org/tiny").file(name));
        assert_eq!(
            got,
            format!("'{name}' is not a file's path in model org/tiny")
        );
    }
    let got = argument(hub.model("org/tiny").revision("../x").file("y"));
    assert_eq!(got, "'../x' is not a branch, tag or commit");
    assert!(server.asked().is_empty());
    let options = HubOptions {
        endpoint: Some("ftp://x".into()),
        home: Some(dir.path().into()),
        ..HubOptions::default()
    };
    let error = Hub::with_options(&options).unwrap_err().to_string();
    assert_eq!(
        error,
        "the hub's address 'ftp://x' (HF_ENDPOINT) begins with neither https:// nor http://"
    );
}

/// The part of [`the_environment_decides`] that runs in a process of its own.
#[test]
#[ignore = "run by another test, with its environment"]
fn child() {
    let hub = Hub::with_options(&HubOptions {
        progress: false,
        ..HubOptions::default()
    })
    .unwrap();
    match hub.dataset("org/words").file("data/train.txt") {
        Ok(path) => println!("PATH {}", path.display()),
        Err(error) => println!("ERROR {error}"),
    }
}

#[test]
fn the_environment_decides() {
    let (server, dir) = (Server::start(), home());
    let run = |offline: &str| {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hub::child", "--ignored", "--nocapture"])
            .env("HF_HOME", dir.path())
            .env("HF_ENDPOINT", format!("{}/", server.address))
            .env("HF_HUB_OFFLINE", offline)
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    for offline in ["1", "ON", "yes", "True"] {
        let out = run(offline);
        assert!(
            out.contains("ERROR data/train.txt of data set org/words is not in the cache"),
            "{out}"
        );
        assert!(server.asked().is_empty());
    }
    let out = run("0");
    assert!(
        out.contains(&format!("PATH {}", dir.path().join("hub").display())),
        "{out}"
    );
    assert!(!server.asked().is_empty());
    assert!(run("1").contains("PATH "));
}
