//! The corpus of each fuzz target, through the very function that the target calls.

use std::path::Path;

#[path = "../../../tests/fuzz/checks/core.rs"]
mod checks;

#[test]
fn schedule() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/schedule");
    let mut count = 0;
    for entry in std::fs::read_dir(&directory).expect("the corpus is in the repository") {
        let path = entry.expect("the corpus can be listed").path();
        checks::schedule(&std::fs::read(path).expect("the corpus can be read"));
        count += 1;
    }
    assert!(2 < count, "{} has {count} inputs", directory.display());
}
