//! Every metric against the numbers of scikit-learn in `tests/fixtures/metrics.json`, which
//! `tests/interop/make_metrics.py` wrote.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Cases {
    classification: Vec<Classification>,
    ranking: Vec<Ranking>,
    binary: Vec<Binary>,
    regression: Vec<Regression>,
}

#[derive(Deserialize)]
struct Classification {
    labels: Vec<i32>,
    predicted: Vec<i32>,
    accuracy: f64,
    confusion: Vec<Vec<u64>>,
    /// Precision, recall, F1: binary (or none), macro, micro, weighted.
    averages: Vec<Option<[f64; 3]>>,
}

#[derive(Deserialize)]
struct Ranking {
    classes: usize,
    labels: Vec<i32>,
    scores: Vec<f32>,
    top: Vec<f64>,
    roc_auc_ovr: f64,
    perplexity: f64,
}

#[derive(Deserialize)]
struct Binary {
    labels: Vec<i32>,
    scores: Vec<f32>,
    roc_auc: f64,
}

#[derive(Deserialize)]
struct Regression {
    labels: Vec<f32>,
    predictions: Vec<f32>,
    mae: f64,
    mse: f64,
    r2: f64,
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("../../../tests/fixtures/metrics.json")).unwrap()
}

#[track_caller]
fn close(got: Result<f64>, want: f64) {
    let got = got.unwrap();
    assert!(
        (got - want).abs() <= 1e-12 * want.abs().max(1.0),
        "{got}, not {want}"
    );
}

#[test]
fn classes_as_scikit_learn() {
    let cases = cases().classification;
    assert!(cases.len() > 5);
    for case in cases {
        let (p, l) = (&case.predicted[..], &case.labels[..]);
        close(accuracy(p, l), case.accuracy);
        let matrix = ConfusionMatrix::new(p, l, None).unwrap();
        close(Ok(matrix.accuracy()), case.accuracy);
        for (label, row) in case.confusion.iter().enumerate() {
            for (predicted, &count) in row.iter().enumerate() {
                assert_eq!(matrix.count(label, predicted), count);
            }
        }
        assert_eq!(matrix.classes(), case.confusion.len());
        let averages = [
            Average::Binary,
            Average::Macro,
            Average::Micro,
            Average::Weighted,
        ];
        for (average, want) in averages.into_iter().zip(case.averages) {
            let Some([a, b, c]) = want else {
                assert!(precision(p, l, average).is_err());
                continue;
            };
            close(precision(p, l, average), a);
            close(recall(p, l, average), b);
            close(f1(p, l, average), c);
        }
    }
}

#[test]
fn scores_as_scikit_learn() {
    let all = cases();
    for case in all.ranking {
        let scores = Array::new([case.labels.len(), case.classes], case.scores).unwrap();
        for (k, &want) in case.top.iter().enumerate() {
            close(top_k_accuracy(&scores, &case.labels, k + 1), want);
        }
        close(roc_auc_ovr(&scores, &case.labels), case.roc_auc_ovr);
        close(perplexity(&scores, &case.labels, None), case.perplexity);
    }
    for case in all.binary {
        close(roc_auc(&case.scores, &case.labels), case.roc_auc);
    }
}

#[test]
fn numbers_as_scikit_learn() {
    for case in cases().regression {
        let (p, l) = (&case.predictions[..], &case.labels[..]);
        close(mean_absolute_error(p, l), case.mae);
        close(mean_squared_error(p, l), case.mse);
        close(r2(p, l), case.r2);
    }
}

#[test]
fn predictions_of_batches_are_measured_as_one() {
    let logits = |rows: &[f32]| Array::new([rows.len() / 2, 2], rows).unwrap();
    let batches = [
        (
            logits(&[2.0, 1.0, 0.0, f32::NAN]),
            Array::vector(vec![0i32, 0]),
        ),
        (logits(&[3.0, 3.0]), Array::vector(vec![0i32])),
    ];
    let eval = EvalPrediction::of_batches(&batches).unwrap();
    assert_eq!(eval.classes().unwrap(), [0, 1, 0]);
    let found = classification(&eval).unwrap();
    assert_eq!(found[0], (String::from("accuracy"), 2.0 / 3.0));
    assert_eq!(found[3].0, "f1");
    let numbers = EvalPrediction {
        predictions: Array::vector(vec![1.0f32, 3.0]),
        labels: Array::vector(vec![1.0f32, 2.0]),
    };
    let found = regression(&numbers).unwrap();
    assert_eq!(found[1], (String::from("mse"), 0.5));
    assert!(numbers.classes().is_err());
    // What is ignored does not count, whatever its label.
    let scores = logits(&[0.0, 0.0, 9.0, 0.0]);
    close(perplexity(&scores, &[1, -100], Some(-100)), 2.0);
}

#[test]
fn a_matrix_prints_as_a_table() {
    let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], None).unwrap();
    assert_eq!(matrix.to_string(), "  0 1\n0 1 1\n1 0 2");
    assert_eq!(matrix.count(2, 0), 0);
}

#[test]
fn refuses_what_cannot_be_measured() {
    let message = |result: Result<f64>| result.err().unwrap().to_string();
    let scores = Array::new([2, 2], vec![0.0f32, 1.0, 2.0, 3.0]).unwrap();
    let rows: &[(Result<f64>, &str)] = &[
        (accuracy(&[1], &[1, 2]), "1 predictions for 2 labels"),
        (accuracy(&[], &[]), "a metric of no predictions"),
        (
            f1(&[0, -1], &[0, 1], Average::Macro),
            "label 1 is -1, classes count from 0",
        ),
        (
            f1(&[2], &[0], Average::Binary),
            "Average::Binary of 3 classes, expected 0 and 1",
        ),
        (
            f1(&[20_000], &[0], Average::Macro),
            "a confusion matrix of 20001 classes, allowed are 16384",
        ),
        (
            top_k_accuracy(&scores, &[0, 2], 1),
            "label 1 is 2, but there are 2 classes",
        ),
        (
            top_k_accuracy(&scores, &[0, 1], 0),
            "the accuracy of the top 0",
        ),
        (
            top_k_accuracy(&scores, &[0], 1),
            "2 predictions for 1 labels",
        ),
        (
            top_k_accuracy(&Array::zeros([2]), &[0, 1], 1),
            "scores of classes are [n, classes], not [2]",
        ),
        (roc_auc(&[0.5, f32::NAN], &[0, 1]), "score 1 is NaN"),
        (
            roc_auc(&[0.5, 0.5], &[1, 1]),
            "ROC AUC where every label is 1: it takes both classes",
        ),
        (
            roc_auc(&[0.5, 0.5], &[1, 2]),
            "label 1 is 2, but there are 2 classes",
        ),
        (
            roc_auc_ovr(&scores, &[1, 1]),
            "ROC AUC where class 0 of 2 is that of no sample or of all",
        ),
        (
            perplexity(&scores, &[7, 7], Some(7)),
            "the perplexity of samples that are all ignored",
        ),
        (r2(&[], &[]), "a metric of no predictions"),
    ];
    for (result, wanted) in rows {
        let error = result.as_ref().err().map(ToString::to_string);
        assert_eq!(error.as_deref(), Some(*wanted));
    }
    assert_eq!(
        message(mean_absolute_error(&[1.0], &[])),
        "1 predictions for 0 labels"
    );
    assert_eq!(
        EvalPrediction::of_batches(&[]).err().unwrap().to_string(),
        "predictions of no batches"
    );
    let uneven = [
        (Array::zeros([2, 2]), Array::zeros([2])),
        (Array::zeros([2, 3]), Array::zeros([2])),
    ];
    assert_eq!(
        EvalPrediction::of_batches(&uneven)
            .err()
            .unwrap()
            .to_string(),
        "predictions of batches 0 and 1 do not belong together: f32 [2,2] and f32 [2,3]"
    );
}
