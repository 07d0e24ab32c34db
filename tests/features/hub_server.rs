//! A small hub on this machine.

use crate::fixture;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use wgrad::Array;
use wgrad::hub::{Hub, HubOptions, Token};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a server was asked: method, path, and the token that came along.
pub type Asked = Arc<Mutex<Vec<(String, String, Option<String>)>>>;

/// A hub of some models and a data set.
pub struct Server {
    pub address: String,
    pub asked: Asked,
}

/// Where files lie that the hub redirects to.
pub static ELSEWHERE: OnceLock<Server> = OnceLock::new();

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = answer(&stream.unwrap(), &log);
            }
        });
        Self { address, asked }
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(_, path, _)| path.clone()).collect()
    }

    pub fn hub(&self, home: &Path, offline: bool) -> Hub {
        self.hub_with(home, offline, None)
    }

    pub fn hub_with(&self, home: &Path, offline: bool, token: Option<&str>) -> Hub {
        let options = HubOptions {
            home: Some(home.to_owned()),
            endpoint: Some(self.address.clone()),
            token: token.map(Token::from),
            offline: Some(offline),
            progress: false,
        };
        Hub::with_options(&options).unwrap()
    }
}

/// Two shards and their index, as files of a model.
fn sharded(name: &str) -> Option<Vec<u8>> {
    let dir = tempfile::TempDir::new().unwrap();
    let write = |file: &str, tensor: &str| {
        let tensors = [(tensor.to_owned(), Array::vector(vec![1.5f32, 2.5]))];
        wgrad::weights::write(dir.path().join(file), &tensors, &BTreeMap::new()).unwrap();
    };
    let [one, two] = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    write(one, "a");
    write(two, "b");
    let index = format!(r#"{{"metadata": {{}}, "weight_map": {{"a": "{one}", "b": "{two}"}}}}"#);
    std::fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    std::fs::read(dir.path().join(name)).ok()
}

fn answer(stream: &TcpStream, log: &Asked) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap_or_default());
    let (mut range, mut token) = (None, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        match name.to_lowercase().as_str() {
            "range" => {
                let start = value
                    .strip_prefix("bytes=")
                    .and_then(|v| v.strip_suffix('-'));
                range = Some(start.unwrap().parse::<usize>().unwrap());
            }
            "authorization" => token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    log.lock()
        .unwrap()
        .push((method.clone(), path.clone(), token.clone()));
    let mut out = stream;
    let (head, close) = (method == "HEAD", "Connection: close\r\n\r\n");
    let etag = path.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let about = format!("ETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\n");
    let mut refuse = |status: &str, code: &str| {
        write!(
            out,
            "HTTP/1.1 {status}\r\nX-Error-Code: {code}\r\nContent-Length: 0\r\n{close}"
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
        "/api/models/org/tiny/revision/v2" => b"<html>".to_vec(),
        "/org/tiny/resolve/main/breaks.bin" if !head => {
            // four bytes of ten and then nothing; the rest to who asks for it
            let (from, part) = match range {
                None => (0, &b"0123"[..]),
                Some(from) => (from, &b"0123456789"[from..]),
            };
            let status = if from == 0 {
                "200 OK"
            } else {
                "206 Partial Content"
            };
            let length = format!("Content-Length: {}\r\n", 10 - from);
            let range = format!("Content-Range: bytes {from}-9/10\r\n");
            write!(out, "HTTP/1.1 {status}\r\n{range}{length}{close}")?;
            return out.write_all(part);
        }
        "/org/tiny/resolve/main/breaks.bin" => vec![0; 10],
        "/org/tiny/resolve/main/cut.bin" if !head => {
            return write!(out, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n{close}x");
        }
        "/org/tiny/resolve/main/cut.bin" => vec![0; 100],
        "/org/tiny/resolve/main/small.bin" => vec![0; if head { 100 } else { 7 }],
        "/org/tiny/resolve/main/large.bin" => vec![0; if head { 7 } else { 100 }],
        "/org/tiny/resolve/main/odd.bin" => {
            return write!(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{close}");
        }
        "/org/tiny/resolve/main/climbs.bin" => {
            let about = format!("ETag: \"../../../x\"\r\nX-Repo-Commit: {COMMIT}\r\n");
            return write!(
                out,
                "HTTP/1.1 200 OK\r\n{about}Content-Length: 1\r\n{close}x"
            );
        }
        "/org/tiny/resolve/main/round.bin" => {
            return write!(
                out,
                "HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\n{close}"
            );
        }
        "/org/tiny/resolve/main/away.bin" => {
            let to = format!("{}/signed/away.bin?key=1", ELSEWHERE.get().unwrap().address);
            let linked = "X-Linked-ETag: \"linked\"\r\nX-Linked-Size: 5\r\n";
            return write!(
                out,
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\n{linked}{about}Content-Length: 0\r\n{close}"
            );
        }
        "/signed/away.bin?key=1" => b"apart".to_vec(),
        "/org/tiny/resolve/main/teapot" => return refuse("500 Broken", ""),
        p if p.starts_with("/org/old/") => {
            let to = path.replace("/old/", "/tiny/");
            return write!(
                out,
                "HTTP/1.1 307 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n{close}"
            );
        }
        p if p.starts_with("/org/sharded/resolve/main/") => {
            match sharded(p.rsplit('/').next().unwrap()) {
                Some(content) => content,
                None => return refuse("404 Not Found", "EntryNotFound"),
            }
        }
        p if p.starts_with("/org/gated/") => match token.as_deref() {
            Some("good") => b"secret".to_vec(),
            Some("weak") | None => return refuse("403 Forbidden", "GatedRepo"),
            Some(_) => return refuse("401 Unauthorized", ""),
        },
        p if p.starts_with("/org/private/") && token.as_deref() == Some("good") => {
            b"secret".to_vec()
        }
        p if p.starts_with("/org/tiny/resolve/main/") => {
            return refuse("404 Not Found", "EntryNotFound");
        }
        p if p.starts_with("/org/tiny/") => return refuse("404 Not Found", "RevisionNotFound"),
        _ => return refuse("401 Unauthorized", "RepoNotFound"),
    };
    write!(
        out,
        "HTTP/1.1 200 OK\r\n{about}Content-Length: {}\r\n{close}",
        content.len()
    )?;
    match head {
        true => Ok(()),
        false => out.write_all(&content),
    }
}
