//! What a training shows where there is no terminal.

use super::{pairs, small, task};
use crate::common::session;
use std::process::Command;
use wgrad::optim::Sgd;
use wgrad::train::{Progress, Trainer, TrainingArguments};

const PROGRESS: &str = "WGRAD_TEST_PROGRESS";

/// Only for [`shown`], in a process of its own.
#[test]
fn as_a_process() {
    let progress = match std::env::var(PROGRESS).as_deref() {
        Ok("auto") => Progress::Auto,
        Ok("silent") => Progress::Silent,
        _ => return,
    };
    let small = small();
    let mut s = session(&small.params);
    let args = TrainingArguments {
        progress,
        ..pairs(2)
    };
    let mut trainer = Trainer::new(&mut s, task(&small.fc), args)
        .optimizer(Sgd::new(0.1))
        .compute_metrics(|_| Ok(vec![("f1".to_owned(), 0.125)]));
    trainer.fit(small.data.clone(), small.data.clone()).unwrap();
}

/// The lines that a training writes.
fn shown(progress: &str) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["console::as_a_process", "--exact", "--nocapture"]);
    command.env(PROGRESS, progress).env("WGRAD_DEVICE", "cpu");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\r') && !text.contains('\x1b'), "{text:?}");
    let lines = text.lines().map(str::to_owned);
    // What the test itself says is left out.
    let own = ["running", "test ", "test result"];
    lines
        .filter(|l| !l.is_empty() && !own.iter().any(|o| l.starts_with(o)))
        .collect()
}

#[test]
fn without_a_terminal_there_is_a_table_and_no_bar() {
    let lines = shown("auto");
    let [head, first, second, closing] = &lines[..] else {
        panic!("{lines:#?}");
    };
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let names = [
        "epoch",
        "step",
        "loss",
        "eval_loss",
        "eval_f1",
        "samples/s",
        "seconds",
    ];
    assert_eq!(words(head), names);
    for (line, start) in [(first, ["1.00", "2"]), (second, ["2.00", "4"])] {
        let cells = words(line);
        assert_eq!(
            (&cells[..2], cells[4].as_str()),
            (&start.map(str::to_owned)[..], "0.1250")
        );
        assert_eq!((cells.len(), line.len()), (names.len(), head.len()));
    }
    assert!(
        closing.starts_with("trained 4 steps, 2 epochs, in ")
            && closing.contains("; best eval_loss "),
        "{closing}"
    );
}

#[test]
fn a_silent_training_shows_nothing() {
    assert_eq!(shown("silent"), [""; 0]);
}
