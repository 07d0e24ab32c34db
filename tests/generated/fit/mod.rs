//! The trainer: what was never stopped, and what was stopped and went on, are the same in weights, best, history and files.

mod callbacks;
mod outcome;
mod setup;

use crate::draws::{between, chance, draws, one_of};
use callbacks::{CRASH, Halt, Halting};
use outcome::Outcome;
use setup::{Ran, Setup};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tempfile::TempDir;
use wgrad::rng::Rng;
use wgrad::train::Resume;

/// A run to its end, with the number of its events.
fn whole(setup: &Setup, folder: &Path, output: &Path, resume: Resume, note: &str) -> (Ran, u64) {
    let halting = halting(Halt::None, 0);
    let ran = setup.run(output, &folder.join("files"), resume, &halting);
    let ran = ran.unwrap_or_else(|error| panic!("{error}: {note}"));
    (ran, halting.seen.load(Ordering::SeqCst))
}

fn halting(halt: Halt, at: u64) -> Halting {
    Halting {
        halt,
        at,
        first: true,
        spares_saves: false,
        seen: Arc::default(),
    }
}

fn checkpoints(output: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(output).into_iter().flatten();
    let paths = entries.map(|e| e.unwrap().path());
    let is_one = |p: &PathBuf| {
        p.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("checkpoint-")
    };
    let mut found: Vec<PathBuf> = paths.filter(is_one).collect();
    found.sort();
    found
}

/// A training that comes to some ends before its time, and goes on from its last checkpoint, or where it `moves` from any of them
/// and into another folder. Whether it stayed where it was, and a note of how it went.
fn in_parts(
    rng: &mut Rng,
    setup: &Setup,
    folder: &Path,
    (halt, most): (Halt, u64),
    moves: bool,
) -> (Outcome, bool, String) {
    let mut output = folder.join("run");
    let (mut resume, mut stayed) = (Resume::LatestIfAny, true);
    let mut note = format!("{setup:?}");
    for part in 0..between(rng, 1, 3) {
        let end = Halting {
            first: chance(rng, 50),
            spares_saves: setup.asks_at_saves(),
            ..halting(halt, 1 + u64::from(rng.below(most as u32)))
        };
        let ended = setup.run(&output, &folder.join("files"), resume.clone(), &end);
        note += &format!(
            "\n{halt:?} at {} of {most}, {resume:?} in {}",
            end.at,
            output.display()
        );
        match ended {
            Err(error) if halt == Halt::Crash => assert_eq!(error.to_string(), CRASH, "{note}"),
            Err(error) => panic!("{error}: {note}"),
            Ok(_) => {}
        }
        let there = checkpoints(&output);
        if there.is_empty() {
            continue;
        }
        resume = Resume::LatestIfAny;
        if moves && chance(rng, 60) {
            resume = Resume::From(one_of(rng, &there).clone());
            if chance(rng, 50) {
                stayed = false;
                output = folder.join(format!("run{part}"));
            }
        }
    }
    note += &format!("\n{resume:?} in {}", output.display());
    let ran = whole(setup, folder, &output, resume, &note).0;
    (
        Outcome::of(&ran, &output, &folder.join("files")),
        stayed,
        note,
    )
}

/// A folder, in memory where there is such a one: every checkpoint is synced.
fn folder() -> TempDir {
    let memory = TempDir::new_in("/dev/shm");
    memory.or_else(|_| TempDir::new()).unwrap()
}

fn same_after(name: &str, many: u64, halt: Halt, moves: bool) {
    draws(name, many, |rng| {
        let setup = Setup::draw(rng);
        if halt == Halt::Steps && !setup.may_be_shortened() {
            return;
        }
        let (dir, other) = (folder(), folder());
        let output = dir.path().join("run");
        let (ran, events) = whole(
            &setup,
            dir.path(),
            &output,
            Resume::No,
            &format!("{setup:?}"),
        );
        let mut expected = Outcome::of(&ran, &output, &dir.path().join("files"));
        let most = match halt {
            Halt::Steps => ran.state.max_steps,
            _ => events,
        };
        let (found, stayed, note) = in_parts(rng, &setup, other.path(), (halt, most), moves);
        // Ends that are no crashes leave checkpoints and files of their own, of the best evaluation too.
        if [Halt::Stop, Halt::Steps].contains(&halt) && ran.state.best_model_checkpoint.is_none() {
            expected.state["best_model_checkpoint"] = found.state["best_model_checkpoint"].clone();
        }
        expected.assert_same(&found, stayed && halt == Halt::Crash, &note);
        if halt == Halt::Crash {
            expected.assert_common(&found, &note);
        }
        // What has ended stays what it was.
        if halt == Halt::None && !checkpoints(&output).is_empty() {
            let again = whole(&setup, dir.path(), &output, Resume::Latest, &note).0;
            let again = Outcome::of(&again, &output, &dir.path().join("files"));
            expected.assert_same(&again, true, &note);
        }
    });
}

#[test]
fn crashes_at_any_event_leave_no_trace() {
    same_after("fit.crashes", 40, Halt::Crash, false);
}

#[test]
fn crashes_of_trainings_that_go_back_and_elsewhere_leave_no_trace() {
    same_after("fit.moves", 30, Halt::Crash, true);
}

#[test]
fn ends_that_callbacks_ask_for_are_gone_on_from() {
    same_after("fit.stops", 30, Halt::Stop, true);
}

#[test]
fn ends_after_fewer_steps_are_gone_on_from() {
    same_after("fit.steps", 20, Halt::Steps, false);
}

#[test]
fn what_has_ended_stays_as_it_is() {
    same_after("fit.ended", 20, Halt::None, false);
}
