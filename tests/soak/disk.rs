//! Kills at random moments, a disk without room, folders that cannot be written or vanish: an error, and the last checkpoint is
//! whole, so that the training goes on from it to the same bits.

use crate::trained::{STEPS, arguments, on_the_cpu, train};
use crate::{child, said, setting};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wgrad::rng::Rng;
use wgrad::train::Lambda;

const FOLDER: &str = "WGRAD_SOAK_FOLDER";
/// Updates after which a child stops by itself.
const UNTIL: &str = "WGRAD_SOAK_UNTIL";

/// The training as a process of its own; without a folder there is nothing to do.
#[test]
#[ignore = "a part of the other tests, which start it"]
fn child_trains() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let until = setting(UNTIL, u64::MAX);
    let slow = Lambda::new().on_step_end(move |event| {
        // long enough to be disturbed in the middle
        std::thread::sleep(Duration::from_millis(2));
        event.control.should_training_stop |= event.state.global_step >= until;
        Ok(())
    });
    match train(on_the_cpu, arguments(Path::new(&folder)), slow) {
        Ok(bits) => println!("OUTCOME {bits:016x}"),
        Err(error) => println!("OUTCOME error: {error}"),
    }
}

fn started(folder: &Path) -> Command {
    let mut command = child("disk::child_trains");
    command.env(FOLDER, folder).stdin(Stdio::null());
    command
}

fn finished(folder: &Path) -> String {
    said(&started(folder).output().unwrap())
}

/// The bits after a training that nothing disturbs, and how long it takes.
fn undisturbed() -> (String, Duration) {
    let dir = TempDir::new().unwrap();
    let start = Instant::now();
    let bits = finished(dir.path());
    assert!(!bits.starts_with("error"), "{bits}");
    (bits, start.elapsed())
}

/// The first updates, whose checkpoints lie in `folder`.
fn begun(folder: &Path) {
    let output = started(folder).env(UNTIL, "42").output().unwrap();
    assert!(!said(&output).starts_with("error"));
    assert!(folder.join("checkpoint-40").is_dir());
}

#[test]
fn kills_at_random_moments() {
    let kills = setting("WGRAD_SOAK_KILLS", 3);
    let (bits, whole) = undisturbed();
    let mut rng = Rng::new(setting("WGRAD_SEED", 1), "kills");
    let dir = TempDir::new().unwrap();
    let (mut killed, mut ends) = (0, 0);
    while killed < kills {
        let wait = whole.mul_f32(rng.uniform());
        let mut running = started(dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(wait);
        running.kill().unwrap();
        let output = running.wait_with_output().unwrap();
        if !output.status.success() {
            killed += 1;
            continue;
        }
        // it was faster: the bits are right, and the next one begins anew
        assert_eq!(said(&output), bits);
        std::fs::remove_dir_all(dir.path()).unwrap();
        ends += 1;
    }
    assert_eq!(
        finished(dir.path()),
        bits,
        "after {killed} kills and {ends} ends"
    );
    crate::common::say(&format!(
        "{killed} kills, {ends} trainings ended between them\n"
    ));
}

#[test]
fn a_disk_that_is_full() {
    let (bits, _) = undisturbed();
    let dir = TempDir::new().unwrap();
    begun(dir.path());
    // no file may have more than eight blocks of 1024 bytes: writes fail as on a full disk
    let mut command = Command::new("bash");
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let plain = started(dir.path());
    command
        .args(["-c", limited])
        .arg(plain.get_program())
        .args(plain.get_args());
    let output = command.env(FOLDER, dir.path()).output().unwrap();
    let outcome = said(&output);
    let named = outcome.contains(&dir.path().display().to_string());
    assert!(outcome.starts_with("error: ") && named, "{outcome}");
    assert_eq!(finished(dir.path()), bits);
}

#[test]
fn a_folder_that_cannot_be_written() {
    let (bits, _) = undisturbed();
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("runs");
    begun(&folder);
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(dir.path(), 0o755);
    allow(&folder, 0o555);
    let mut command = started(&folder);
    if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        // to root everything is allowed: be somebody else
        let own = dir.path().join("soak");
        std::fs::copy(command.get_program(), &own).unwrap();
        let mut other = Command::new(&own);
        other
            .args(command.get_args())
            .env(FOLDER, &folder)
            .uid(65_534);
        command = other;
    }
    let outcome = said(&command.output().unwrap());
    let named = outcome.contains(&folder.display().to_string());
    assert!(outcome.starts_with("error: ") && named, "{outcome}");
    allow(&folder, 0o755);
    assert_eq!(finished(&folder), bits);
}

/// The whole folder goes, in the middle of a training: later checkpoints are written, and are whole.
#[test]
fn a_folder_that_vanishes() {
    let (bits, _) = undisturbed();
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("runs");
    let gone = folder.clone();
    let vanish = Lambda::new().on_step_end(move |event| {
        if [13, 47].contains(&event.state.global_step) {
            std::fs::remove_dir_all(&gone).unwrap();
        }
        event.control.should_training_stop |= event.state.global_step == STEPS / 2;
        Ok(())
    });
    match train(on_the_cpu, arguments(&folder), vanish) {
        Ok(_) => assert!(folder.join("checkpoint-70").is_dir()),
        Err(error) => assert!(error.to_string().contains("runs"), "{error}"),
    }
    assert_eq!(finished(&folder), bits);
}

/// The best checkpoint goes before it is wanted.
#[test]
fn a_checkpoint_that_vanishes() {
    let dir = TempDir::new().unwrap();
    let vanish = Lambda::new().on_save(|event, _| {
        let best = event.state.best_model_checkpoint.clone();
        if let Some(best) = best.filter(|_| event.state.global_step == STEPS) {
            std::fs::remove_dir_all(best).unwrap();
        }
        Ok(())
    });
    let args = wgrad::train::TrainingArguments {
        save_steps: 10.0,
        load_best_model_at_end: true,
        ..arguments(dir.path())
    };
    let error = train(on_the_cpu, args, vanish).unwrap_err().to_string();
    assert!(error.contains("checkpoint-"), "{error}");
}
