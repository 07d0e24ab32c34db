//! Tokenizers against Hugging Face's, and batches of texts.

use crate::fixture;
use serde_json::Value;
use wgrad::Array;
use wgrad::data::{DataLoader, DataLoaderOptions, SampleDataset, Sampler};
use wgrad::text::{DataCollatorWithPadding, LengthSampler, Tokenizer, TokenizerOptions};

const TEXTS: &[&str] = &[
    "the film is good and the actors are good",
    "the film is bad , and the actors are worse",
    "a good film , a better book",
    "Ünïcode 東京 as well",
];

fn cases(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fixture("text").join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn ids(case: &Value, key: &str) -> Vec<i32> {
    let ids = case[key].as_array().unwrap().iter();
    ids.map(|id| id.as_i64().unwrap() as i32).collect()
}

fn bert_vocab() -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join("examples/data/bert-base-cased/vocab.txt")).unwrap()
}

/// A file of `content` in a folder that lives as long as what comes first.
fn file(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("vocab.txt");
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

#[test]
fn berts_ids_are_hugging_faces() {
    let (_dir, path) = file(bert_vocab().as_bytes());
    let cased = Tokenizer::from_bert_vocab(&path, false).unwrap();
    let uncased = Tokenizer::from_bert_vocab(&path, true).unwrap();
    assert_eq!((cased.vocab_size(), cased.pad_id()), (28_996, Some(0)));
    let cases = cases("bert_cased.json");
    for case in &cases {
        let text = case["text"].as_str().unwrap();
        let got = cased.encode(text, None).unwrap();
        assert_eq!(got, ids(case, "cased"), "{text}");
        assert_eq!(
            uncased.encode(text, None).unwrap(),
            ids(case, "lowercase"),
            "{text}"
        );
        assert_eq!(
            cased.encode(text, Some(6)).unwrap(),
            ids(case, "truncated"),
            "{text}"
        );
        let tokens: Vec<_> = got
            .iter()
            .map(|&id| cased.id_to_token(id).unwrap())
            .collect();
        let want: Vec<_> = case["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t.as_str().unwrap())
            .collect();
        assert_eq!(tokens, want);
        assert!(
            tokens
                .iter()
                .zip(&got)
                .all(|(t, id)| cased.token_to_id(t) == Some(*id))
        );
    }
    let texts: Vec<&str> = cases.iter().map(|c| c["text"].as_str().unwrap()).collect();
    let batch = cased.encode_batch(&texts, Some(6)).unwrap();
    let want: Vec<_> = cases.iter().map(|c| ids(c, "truncated")).collect();
    assert_eq!(batch, want);
    assert_eq!(
        cased.decode(&ids(&cases[0], "cased")).unwrap(),
        "Hello, world!"
    );
    // saved as tokenizer.json and read again it is the same
    let json = path.with_file_name("tokenizer.json");
    cased.save(&json).unwrap();
    let again = Tokenizer::from_file(&json).unwrap();
    assert_eq!(
        again.encode_batch(&texts, None).unwrap(),
        cased.encode_batch(&texts, None).unwrap()
    );
}

#[test]
fn a_tokenizer_json_of_hugging_face() {
    let bpe = Tokenizer::from_file(fixture("text/bpe_tokenizer.json")).unwrap();
    assert_eq!(bpe.pad_id(), Some(0));
    for case in &cases("bpe.json") {
        let text = case["text"].as_str().unwrap();
        let got = bpe.encode(text, None).unwrap();
        assert_eq!(got, ids(case, "ids"), "{text}");
        assert_eq!(bpe.decode(&got).unwrap(), text);
        let cut = bpe.encode(text, Some(2)).unwrap();
        assert_eq!(cut, got[..got.len().min(2)], "{text}");
    }
}

#[test]
fn broken_files_and_wrong_arguments() {
    let bert = |content: &[u8]| {
        let (_dir, path) = file(content);
        let error = Tokenizer::from_bert_vocab(&path, false).err().unwrap();
        error.to_string()
    };
    let json = |content: &[u8]| {
        let (_dir, path) = file(content);
        Tokenizer::from_file(&path).err().unwrap().to_string()
    };
    for (message, want) in [
        (bert(b""), "not the vocabulary of a BERT: no line is [PAD]"),
        (
            bert(b"[PAD]\n[UNK]\n[CLS]\n"),
            "not the vocabulary of a BERT: no line is [SEP]",
        ),
        (
            bert(b"[PAD]\na\xff\n"),
            "at byte 7: not a vocabulary: not UTF-8",
        ),
        (
            bert(b"a\nb\na\n"),
            "at byte 4: not a vocabulary: line 3 is 'a' again, as line 1",
        ),
        (json(b""), "not a tokenizer.json: "),
        (json(b"{}"), "not a tokenizer.json: "),
        (
            json(b"{\"model\": {\"type\": \"WordPiece\", \"vocab\": 3}}"),
            "not a tokenizer.json: ",
        ),
        (json(&[0xff; 9]), "not a tokenizer.json: "),
    ] {
        assert!(
            message.contains("vocab.txt") && message.contains(want),
            "{message}"
        );
    }
    let whole = std::fs::read(fixture("text/bpe_tokenizer.json")).unwrap();
    for len in (0..whole.len() - 2).step_by(997) {
        assert!(
            json(&whole[..len]).contains("not a tokenizer.json: "),
            "{len}"
        );
    }
    let none = std::path::Path::new("nowhere/tokenizer.json");
    assert!(matches!(
        Tokenizer::from_file(none),
        Err(wgrad::Error::Io { .. })
    ));
    assert!(matches!(
        Tokenizer::from_bert_vocab(none, true),
        Err(wgrad::Error::Io { .. })
    ));

    let tokenizer = Tokenizer::train_word_piece(TEXTS, &TokenizerOptions::default()).unwrap();
    let error = tokenizer.encode("a", Some(2)).unwrap_err().to_string();
    assert_eq!(
        error,
        "max_length 2: 2 special tokens and one of the text need more"
    );
    let size = tokenizer.vocab_size();
    for id in [-1, size as i32] {
        let error = tokenizer.decode(&[id]).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("id {id} is not in the vocabulary of {size} tokens")
        );
    }
}

#[test]
fn vocabularies_of_ones_own_texts() {
    let options = TokenizerOptions {
        vocab_size: 60,
        lowercase: true,
        ..TokenizerOptions::default()
    };
    let dir = tempfile::TempDir::new().unwrap();
    let save = |tokenizer: &Tokenizer, name: &str| {
        let path = dir.path().join(name);
        tokenizer.save(&path).unwrap();
        (
            std::fs::read(&path).unwrap(),
            Tokenizer::from_file(&path).unwrap(),
        )
    };
    let word_piece = || Tokenizer::train_word_piece(TEXTS, &options).unwrap();
    let tokenizer = word_piece();
    assert!(tokenizer.vocab_size() <= 60);
    for (id, token) in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .iter()
        .enumerate()
    {
        assert_eq!(tokenizer.token_to_id(token), Some(id as i32));
    }
    let ids = tokenizer.encode("The GOOD film", None).unwrap();
    assert_eq!((ids[0], ids[ids.len() - 1]), (2, 3));
    assert_eq!(tokenizer.decode(&ids).unwrap(), "the good film");
    assert!(tokenizer.encode("🙂", None).unwrap().contains(&1));
    let (bytes, again) = save(&tokenizer, "wp.json");
    assert_eq!(again.encode("The GOOD film", None).unwrap(), ids);
    for _ in 0..3 {
        assert!(
            save(&word_piece(), "wp2.json").0 == bytes,
            "texts decide, nothing else"
        );
    }

    let options = TokenizerOptions {
        vocab_size: 280,
        special_tokens: vec!["<pad>".into()],
        ..TokenizerOptions::default()
    };
    let bpe = || Tokenizer::train_bpe(TEXTS, &options).unwrap();
    let tokenizer = bpe();
    assert_eq!((tokenizer.vocab_size(), tokenizer.pad_id()), (280, Some(0)));
    for text in ["the film", "never seen: 🙂 \n x", ""] {
        let ids = tokenizer.encode(text, None).unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }
    let (bytes, again) = save(&tokenizer, "bpe.json");
    assert_eq!(
        again.encode("the film", None).unwrap(),
        tokenizer.encode("the film", None).unwrap()
    );
    assert!(
        save(&bpe(), "bpe2.json").0 == bytes,
        "texts decide, nothing else"
    );

    let small = |vocab_size| TokenizerOptions {
        vocab_size,
        ..TokenizerOptions::default()
    };
    let message = |e: wgrad::Result<Tokenizer>| e.err().unwrap().to_string();
    assert_eq!(
        message(Tokenizer::train_bpe(TEXTS, &small(260))),
        "vocab_size 260: 5 special tokens and 256 single characters need more"
    );
    assert_eq!(
        message(Tokenizer::train_word_piece(TEXTS, &small(5))),
        "vocab_size 5: 5 special tokens and 2 single characters need more"
    );
    assert_eq!(
        message(Tokenizer::train_word_piece(&[" "], &small(50))),
        "a vocabulary of no text"
    );
    assert_eq!(
        message(Tokenizer::train_word_piece(TEXTS, &options)),
        "special_tokens without [UNK]: WordPiece needs it for what it cannot cut"
    );
}

#[test]
fn padding_to_the_longest() {
    let collator = DataCollatorWithPadding {
        pad_id: 9,
        pad_to_multiple_of: None,
    };
    let batch = collator.pad(&[vec![1, 2, 3], vec![], vec![4]]).unwrap();
    let array = |values: Vec<i32>| Array::new([3, 3], values).unwrap();
    assert!(batch.ids == array(vec![1, 2, 3, 9, 9, 9, 4, 9, 9]));
    assert!(batch.lengths == Array::vector(vec![3, 0, 1]));
    let mask = vec![1.0f32, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    assert!(batch.mask == Array::new([3, 3], mask).unwrap());
    let multiple = |n| DataCollatorWithPadding {
        pad_to_multiple_of: Some(n),
        ..collator
    };
    for (n, length) in [(1, 3), (2, 4), (3, 3), (8, 8)] {
        let batch = multiple(n).pad(&[vec![1, 2, 3]]).unwrap();
        assert_eq!(batch.ids.shape().to_vec(), [1, length]);
        assert_eq!(batch.mask.shape().to_vec(), [1, length]);
    }
    assert_eq!(
        collator.pad(&[[0i32; 0]]).unwrap().ids.shape().to_vec(),
        [1, 1]
    );
    let message = |r: wgrad::Result<wgrad::text::TextBatch>| r.err().unwrap().to_string();
    assert_eq!(
        message(collator.pad::<Vec<i32>>(&[])),
        "a batch of no texts"
    );
    assert_eq!(
        message(multiple(0).pad(&[vec![1]])),
        "pad_to_multiple_of 0, allowed is 1 and more"
    );
}

#[test]
fn samples_with_labels() {
    let collator = DataCollatorWithPadding::default();
    let sample = |ids: Vec<i32>, label: i32| vec![Array::vector(ids), Array::scalar(label)];
    let batch = collator
        .collate(vec![sample(vec![5, 6], 1), sample(vec![7], 0)])
        .unwrap();
    assert_eq!(batch.len(), 4);
    assert!(batch[0] == Array::new([2, 2], vec![5, 6, 7, 0]).unwrap());
    assert!(batch[1] == Array::vector(vec![2, 1]));
    assert!(batch[3] == Array::vector(vec![1, 0]));
    let message = |samples| collator.collate(samples).err().unwrap().to_string();
    let wrong = vec![vec![Array::vector(vec![1.0f32])]];
    assert_eq!(
        message(wrong),
        "array 0 of sample 0 is not the ids of a text, i32 [length]"
    );
    let uneven = vec![sample(vec![1], 0), vec![Array::vector(vec![1])]];
    assert_eq!(
        message(uneven),
        "array 1 of sample 1 is not as sample 0's: i32 []"
    );
    assert_eq!(message(vec![]), "a batch of no texts");
}

#[test]
fn like_lengths_come_together() {
    let mut rng = wgrad::rng::Rng::new(1, "lengths");
    let lengths: Vec<usize> = (0..1003).map(|_| 1 + rng.below(300) as usize).collect();
    let padded = |order: &[usize]| -> usize {
        let longest = |b: &[usize]| b.iter().map(|&i| lengths[i]).max().unwrap() * b.len();
        order.chunks(8).map(longest).sum()
    };
    let sampler = LengthSampler::new(lengths.clone(), 8, 3).unwrap();
    let order = sampler.order(0);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..1003).collect::<Vec<_>>());
    let (needed, plain): (usize, Vec<usize>) = (lengths.iter().sum(), (0..1003).collect());
    assert!(
        padded(&order) < needed * 11 / 10,
        "{} of {needed}",
        padded(&order)
    );
    assert!(padded(&plain) > needed * 15 / 10);
    let longest = *lengths.iter().max().unwrap();
    assert!(order[..8].iter().any(|&i| lengths[i] == longest));
    assert_eq!(order, sampler.order(0));
    assert_ne!(order, sampler.order(1));
    assert_ne!(
        order,
        LengthSampler::new(lengths.clone(), 8, 4).unwrap().order(0)
    );
    // fewer texts than a batch holds
    assert_eq!(
        LengthSampler::new(vec![1, 5], 8, 0).unwrap().order(0).len(),
        2
    );
    for (lengths, batch_size) in [(vec![], 8), (vec![1], 0)] {
        let n = lengths.len();
        let error = LengthSampler::new(lengths, batch_size, 0).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!("batches of {batch_size} out of {n} texts")
        );
    }
}

/// What is padded is little where batches hold like lengths, and each sample keeps its label.
#[test]
fn a_loader_of_texts() {
    let samples = (0..40).map(|i: i32| {
        let ids = Array::vector(vec![i + 1; 1 + (i as usize * 7) % 40]);
        vec![ids, Array::scalar(i)]
    });
    let samples: Vec<_> = samples.collect();
    let lengths: Vec<usize> = samples.iter().map(|s| s[0].numel()).collect();
    let collator = DataCollatorWithPadding {
        pad_id: 0,
        pad_to_multiple_of: Some(4),
    };
    let options = DataLoaderOptions {
        batch_size: 4,
        ..DataLoaderOptions::default()
    };
    let loader = DataLoader::new(SampleDataset::new(samples), options)
        .unwrap()
        .sampler(LengthSampler::new(lengths, 4, 1).unwrap())
        .unwrap()
        .collate(move |samples| collator.collate(samples));
    let mut seen = Vec::new();
    for batch in loader.epoch(0) {
        let batch = batch.unwrap();
        let width = batch[0].shape()[1];
        let (ids, lengths) = (
            batch[0].as_slice::<i32>().unwrap(),
            batch[1].as_slice::<i32>().unwrap(),
        );
        let labels = batch[3].as_slice::<i32>().unwrap();
        for ((row, label), length) in ids.chunks(width).zip(labels).zip(lengths) {
            let length = *length as usize;
            assert!(row[..length].iter().all(|id| *id == label + 1));
            assert!(row[length..].iter().all(|id| *id == 0));
            assert!(width < length + 8, "{width} for {length}");
            seen.push(*label);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
}

#[test]
fn pairs_of_texts_are_hugging_faces() {
    let (_dir, path) = file(bert_vocab().as_bytes());
    let bert = Tokenizer::from_bert_vocab(&path, false).unwrap();
    let lengths = [
        ("whole", None),
        ("most_9", Some(9)),
        ("most_4", Some(4)),
        ("most_16", Some(16)),
    ];
    let mut whole = vec![];
    for case in &cases("bert_pairs.json") {
        let [a, b] = [0, 1].map(|k| case["texts"][k].as_str().unwrap());
        for (name, most) in lengths {
            let got = bert.encode_pair(a, b, most).unwrap();
            let want = &case[name];
            assert_eq!(got.ids, ids(want, "ids"), "{name}: {a} | {b}");
            let types = ids(want, "token_type_ids");
            assert_eq!(got.token_type_ids, types, "{name}: {a} | {b}");
        }
        let many = bert.encode_pairs(&[(a, b)], None).unwrap();
        whole.extend(many);
    }
    // In a batch, token types fill up with 0; a loader's samples come to the same.
    let collator = DataCollatorWithPadding::default();
    let batch = collator.pad_pairs(&whole).unwrap();
    assert_eq!(batch.token_type_ids.shape(), batch.ids.shape());
    let n = batch.ids.shape()[1];
    let types = batch.token_type_ids.as_slice::<i32>().unwrap();
    for (row, pair) in whole.iter().enumerate() {
        let row = &types[row * n..(row + 1) * n];
        assert_eq!(row[..pair.ids.len()], pair.token_type_ids);
        assert!(row[pair.ids.len()..].iter().all(|t| *t == 0));
    }
    let samples = whole.iter().enumerate().map(|(i, pair)| {
        let label = Array::scalar(i as i32);
        let types = Array::vector(pair.token_type_ids.clone());
        vec![Array::vector(pair.ids.clone()), types, label]
    });
    let collated = collator.collate_pairs(samples.collect()).unwrap();
    assert_eq!(collated[0], batch.ids);
    assert_eq!(collated[3], batch.token_type_ids);
    assert_eq!(collated[4].shape()[..], [whole.len()]);

    let refused = bert.encode_pair("a", "b", Some(3)).unwrap_err().to_string();
    assert!(refused.contains("3 special tokens"), "{refused}");
    let short = vec![vec![
        Array::vector(vec![1, 2]),
        Array::vector(vec![0]),
        Array::scalar(0),
    ]];
    let refused = collator.collate_pairs(short).unwrap_err().to_string();
    assert_eq!(
        refused,
        "sample 0 has 2 ids and 1 token types: expected one of each"
    );
}
