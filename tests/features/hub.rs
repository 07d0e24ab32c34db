//! The hub, against a small server on this machine.

use crate::hub_server::{COMMIT, ELSEWHERE, Server};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use wgrad::Error;
use wgrad::device::{DeviceKind, DeviceOptions};
use wgrad::hub::{Hub, HubOptions};

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
                "x of data set nobody/nothing: there is none of that name, or it needs a token (HF_TOKEN, or hf auth login) ({at}, status 401)"
            ),
        ),
        (
            message(hub.model("org/gated").file("x")),
            format!(
                "x of model org/gated: access is to be asked for on its page, and needs a token (HF_TOKEN, or hf auth login) ({at}, status 403)"
            ),
        ),
        (
            message(hub.model("org/tiny").file("teapot")),
            format!("teapot of model org/tiny: the hub failed: try again later ({at}, status 500)"),
        ),
        (
            message(hub.model("org/tiny").file("odd.bin")),
            format!("odd.bin of model org/tiny: {at} does not answer as a hub does: header etag"),
        ),
        (
            message(hub.model("org/tiny").file("climbs.bin")),
            format!(
                "climbs.bin of model org/tiny: {at} does not answer as a hub does: header etag"
            ),
        ),
        (
            message(hub.model("org/tiny").file("round.bin")),
            format!(
                "round.bin of model org/tiny: {at} does not answer as a hub does: more than 8 redirects"
            ),
        ),
        (
            message(hub.model("org/tiny").revision("v2").files()),
            format!(
                "the files of model org/tiny at v2: {at} does not answer as a hub does: not JSON: expected value at line 1 column 1"
            ),
        ),
        (
            message(hub.model("org/nothing").weights()),
            format!(
                "model.safetensors of model org/nothing: there is none of that name, or it needs a token (HF_TOKEN, or hf auth login) ({at}, status 401)"
            ),
        ),
    ] {
        assert_eq!(got, want);
    }

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

/// An answer that is not of the size that was said leaves no file behind that would be taken for a whole one.
#[test]
fn broken_downloads() {
    let (server, dir) = (Server::start(), home());
    let hub = server.hub(dir.path(), false);
    let (tiny, at) = (hub.model("org/tiny"), &server.address);
    let next = "; the next one goes on from there";
    for (name, want) in [
        (
            "cut.bin",
            " of 100 bytes (response body closed before all bytes were read)",
        ),
        (
            "small.bin",
            "small.bin of model org/tiny: the download broke off after 7 of 100 bytes",
        ),
    ] {
        let text = message(tiny.file(name));
        assert!(text.contains(want) && text.ends_with(next), "{text}");
    }
    assert_eq!(
        message(tiny.file("large.bin")),
        format!("large.bin of model org/tiny: more came than the 7 bytes that {at} said")
    );
    let offline = server.hub(dir.path(), true);
    for name in ["cut.bin", "small.bin", "large.bin"] {
        assert!(message(offline.model("org/tiny").file(name)).contains("not in the cache"));
    }
    // what broke is taken up where it broke
    let whole = tiny.file("breaks.bin").unwrap();
    assert_eq!(std::fs::read(whole).unwrap(), b"0123456789");
    let gets = server
        .asked()
        .into_iter()
        .filter(|p| p.ends_with("breaks.bin"));
    assert_eq!(gets.count(), 3); // what it is, and two parts
}

#[test]
fn models_in_shards() {
    let (server, dir) = (Server::start(), home());
    let hub = server.hub(dir.path(), false);
    let reader = hub.model("org/sharded").weights().unwrap();
    assert_eq!(reader.names(), ["a", "b"]);
    assert_eq!(reader.files().len(), 2);
    let params = wgrad::Params::new(0);
    for name in ["a", "b"] {
        params.parameter(name, [2], wgrad::nn::init::constant(0.0));
    }
    let options = DeviceOptions {
        kind: Some(DeviceKind::Cpu),
        ..DeviceOptions::default()
    };
    let mut session = wgrad::Session::with_options(&params, &options).unwrap();
    let offline = server.hub(dir.path(), true);
    session
        .load(offline.model("org/sharded").weight_file().unwrap())
        .unwrap();
    assert_eq!(session.get("b").unwrap().to_f32(), [1.5, 2.5]);
    let text = message(offline.model("org/tiny").weights());
    assert!(
        text.starts_with("model.safetensors of model org/tiny is not in the cache"),
        "{text}"
    );
    // a shard that is not there is named
    let lost = dir
        .path()
        .join("hub/models--org--sharded/snapshots")
        .join(COMMIT);
    std::fs::remove_file(lost.join("model-00002-of-00002.safetensors")).unwrap();
    let text = message(offline.model("org/sharded").weights());
    assert!(
        text.starts_with("model-00002-of-00002.safetensors of model org/sharded"),
        "{text}"
    );
}

#[test]
fn tokens_go_to_the_hub_alone() {
    let elsewhere = ELSEWHERE.get_or_init(Server::start);
    let (server, dir) = (Server::start(), home());
    let hub = server.hub_with(dir.path(), false, Some("good\n"));
    let content = |path: wgrad::Result<std::path::PathBuf>| std::fs::read(path.unwrap()).unwrap();
    assert_eq!(content(hub.model("org/gated").file("x")), b"secret");
    assert_eq!(content(hub.model("org/private").file("x/y")), b"secret");
    assert_eq!(content(hub.model("org/tiny").file("away.bin")), b"apart");
    let away = elsewhere.asked.lock().unwrap().clone();
    assert!(!away.is_empty());
    assert!(away.iter().all(|(_, _, token)| token.is_none()), "{away:?}");
    let here = server.asked.lock().unwrap().clone();
    assert!(
        here.iter()
            .all(|(_, _, token)| token.as_deref() == Some("good")),
        "{here:?}"
    );
    // a model of another name is found within the hub
    assert_eq!(hub.model("org/old").weights().unwrap().names().len(), 12);

    let at = &server.address;
    for (token, model, want) in [
        (
            "weak",
            "org/gated",
            "the token has no access: ask for it on its page",
            403,
        ),
        (
            "worn",
            "org/gated",
            "the token is not one that the hub knows",
            401,
        ),
        (
            "weak",
            "org/private",
            "there is none of that name, or the token may not see it",
            401,
        ),
    ]
    .map(|(token, model, why, status)| {
        (
            token,
            model,
            format!("z of model {model}: {why} ({at}, status {status})"),
        )
    }) {
        let hub = server.hub_with(dir.path(), false, Some(token));
        let text = message(hub.model(model).file("z"));
        assert_eq!(text, want);
        assert!(
            !format!("{hub:?} {:?}", hub.model(model)).contains(token),
            "{hub:?}"
        );
    }
    let options = HubOptions {
        token: Some("hf_se cret".into()),
        home: Some(dir.path().into()),
        ..HubOptions::default()
    };
    assert!(!format!("{options:?}").contains("hf_se"));
    let text = Hub::with_options(&options).unwrap_err().to_string();
    assert_eq!(
        text,
        "the hub's token (HF_TOKEN) has spaces or letters that no token has"
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
    if std::env::var_os("WGRAD_TEST_GATED").is_some() {
        match hub.model("org/gated").file("x") {
            Ok(_) => println!("GIVEN"),
            Err(error) => println!("ERROR {error}"),
        }
    }
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

#[test]
fn a_token_is_found() {
    let (server, dir) = (Server::start(), home());
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "hub::child", "--ignored", "--nocapture"]);
        for name in ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"] {
            command.env_remove(name);
        }
        let cache = home(); // nothing of an earlier run
        std::fs::write(cache.path().join("token"), "good\n").unwrap();
        let done = command
            .env("HF_HOME", cache.path())
            .env("HF_ENDPOINT", &server.address)
            .env("WGRAD_TEST_GATED", "1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let other = dir.path().join("other");
    std::fs::write(&other, "weak").unwrap();
    let out = run(&[]);
    assert!(out.contains("GIVEN"), "{out}");
    let out = run(&[("HF_TOKEN_PATH", other.to_str().unwrap())]);
    assert!(out.contains("the token has no access"), "{out}");
    let out = run(&[
        ("HF_TOKEN_PATH", other.to_str().unwrap()),
        ("HF_TOKEN", "good"),
    ]);
    assert!(out.contains("GIVEN"), "{out}");
    let out = run(&[("HF_TOKEN", "bad-token")]);
    assert!(
        out.contains("the token is not one that the hub knows"),
        "{out}"
    );
    assert!(!out.contains("bad-token"), "{out}");
}
