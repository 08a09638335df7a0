//! The corpus of each fuzz target, through the very function that the target calls.

use std::path::Path;

#[path = "../../../tests/fuzz/checks/protocol.rs"]
mod checks;

fn for_each_input(target: &str, check: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&directory).expect("the corpus is in the repository") {
        let path = entry.expect("the corpus can be listed").path();
        check(&std::fs::read(path).expect("the corpus can be read"));
        count += 1;
    }
    assert!(2 < count, "{} has {count} inputs", directory.display());
}

#[test]
fn config() {
    for_each_input("config", checks::config);
}

#[test]
fn executor_request() {
    for_each_input("executor_request", checks::executor_request);
}

#[test]
fn baseline() {
    for_each_input("baseline", checks::baseline);
}

#[test]
fn override_list() {
    for_each_input("override_list", checks::override_list);
}
