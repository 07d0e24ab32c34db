//! Writes the seeds of every target: `seeds FOLDER` makes `FOLDER/NAME/0`, `1`, and so on.

use std::path::Path;

fn main() {
    let folder = std::env::args().nth(1).expect("usage: seeds FOLDER");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    for target in wgrad_fuzz::targets::targets() {
        let own = Path::new(&folder).join(target.name);
        std::fs::create_dir_all(&own).unwrap();
        for (k, seed) in target.seeds(&tests).into_iter().enumerate() {
            std::fs::write(own.join(k.to_string()), seed).unwrap();
        }
    }
}
