//! A host whose first boot is not over: it is looked at, and its locks are left alone.

use patchd_host::durable::{atomic_write, create_directories};
use patchd_host::root::Root;

use super::*;

fn mark(root: &Root, name: &str) {
    let path = root.path("run/cloud-init").join(name);
    create_directories(path.parent().unwrap(), 0o755).unwrap();
    atomic_write(&path, b"{}", 0o644).unwrap();
    let file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.set_modified(START.parse::<Timestamp>().unwrap().into()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn until_cloud_init_is_done_lists_are_used_as_they_are_and_nothing_is_applied() {
    let place = tempfile::tempdir().unwrap();
    let root = Root::at(place.path());
    mark(&root, "enabled");
    let packages = (vec![change("openssl")], vec![change("openssl")]);
    let watch = CloudInitWatch::of(root.clone());
    // The window is open all the time.
    let settings = settings(Some("daily 09:00 +12h"));
    let stage = stage_beside(watch, journal(), settings, packages, &[], None, OwnProgram::unwatched());
    stage.concluded(1).await;
    assert_eq!(stage.host.told(), ["assess", "report"]);
    let status = stage.handle.status().await.unwrap();
    let gates: Vec<_> = status.gates.iter().map(|gate| gate.code.as_str()).collect();
    assert!(gates.contains(&"cloud_init"), "{gates:?}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.host.told(), ["assess", "report"], "and nothing more");

    // What somebody asks for is theirs to time.
    let asked = stage.handle.start_run(Operation::Scan, Wish::WhatIsDue, by_hand()).await.unwrap();
    assert!(asked.started);
    stage.concluded(2).await;
    assert_eq!(stage.host.told()[2..], ["refresh", "assess", "report"]);

    mark(&root, "result.json");
    stage.concluded(3).await;
    let told = stage.host.told();
    assert!(told.contains(&"apply"), "{told:?}");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_cloud_init_that_never_ends_holds_no_lists_for_ever() {
    let place = tempfile::tempdir().unwrap();
    let root = Root::at(place.path());
    mark(&root, "enabled");
    let packages = (vec![change("openssl")], vec![change("openssl")]);
    let watch = CloudInitWatch::of(root.clone());
    let stage = stage_beside(watch, journal(), settings(None), packages, &[], None, OwnProgram::unwatched());
    stage.concluded(1).await;
    assert_eq!(stage.host.told(), ["assess", "report"]);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    stage.concluded(2).await;
    assert!(stage.host.told().contains(&"refresh"), "{:?}", stage.host.told());
    stage.end().await;
}
