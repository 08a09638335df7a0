//! What an older patchd left: its database is brought up, its runs are carried on where that is sound, and told as given
//! up where it is not.

use patchd_core::run::Phase;
use patchd_protocol::control::RunOutcome;
use rusqlite::params;

use super::*;
use crate::journal::schema;

/// A run as version 1 took it down: its operation, phase, and the bodies of its events.
fn put(connection: &rusqlite::Connection, id: &str, operation: &str, phase: &str, events: &[(&str, &str)]) {
    connection
        .execute(
            "INSERT INTO runs (id, operation, refresh, trigger, requested_at, phase) VALUES (?1, ?2, 1, '\"schedule\"', ?3, ?4)",
            params![id, operation, at(0).to_string(), phase],
        )
        .unwrap();
    for (code, body) in events {
        connection
            .execute(
                "INSERT INTO entries (run, at, kind, code, body) VALUES (?1, ?2, 'event', ?3, ?4)",
                params![id, at(1).to_string(), code, body],
            )
            .unwrap();
    }
}

const STARTED: (&str, &str) = ("started", r#""started""#);
const REFRESHED: (&str, &str) = ("refreshed", r#"{"refreshed":{"failures":[]}}"#);
const DUE: (&str, &str) = (
    "assessed",
    r#"{"assessed":{"because":[],"plan":{"changes":[{"name":"openssl","architecture":"amd64","from":"1","to":"2"}]}}}"#,
);
const SIMULATED: (&str, &str) = (
    "simulated",
    r#"{"simulated":{"changes":[{"name":"openssl","architecture":"amd64","from":"1","to":"2"}],"removals":[],"refusal":null}}"#,
);
const OPEN: (&str, &str) = (
    "gates_seen",
    r#"{"gates_seen":{"now":"2027-01-15T08:00:09Z","window":{"open":{"name":"night","start":"2027-01-15T08:00:00Z","cutoff":"2027-01-15T10:00:00Z","end":"2027-01-15T11:00:00Z"}},"is_paused":false}}"#,
);

#[test]
fn a_database_of_version_1_keeps_its_runs_and_takes_new_ones() {
    let (_directory, path) = directory();
    let old = schema::create_first(&path);
    put(&old, "done", "scan", "reporting", &[STARTED, REFRESHED]);
    old.execute(
        "UPDATE runs SET concluded_at = ?1, verdict = 'succeeded', phase = 'concluded'",
        [at(2).to_string()],
    )
    .unwrap();
    put(&old, "scan", "scan", "assessing", &[STARTED, REFRESHED]);
    drop(old);

    let (mut journal, moved) = Journal::open(&path, at(3)).unwrap();
    assert_eq!(moved, None);
    let done = journal.run("done").unwrap().unwrap();
    assert_eq!(done.run.verdict, Some(RunOutcome::Succeeded));
    assert!(!done.run.dry_run);
    let moves = journal.moves("done", 0, 9).unwrap().unwrap().moves;
    assert_eq!(moves.iter().map(|moved| moved.text.as_str()).collect::<Vec<_>>(), ["started", "refreshed"]);
    let left = journal.unfinished().unwrap();
    let [scan] = left.as_slice() else { panic!("{left:?}") };
    let state = scan.state.clone().unwrap();
    assert!(matches!(state.phase, Phase::Assessing { .. }), "{state:?}");
    let (after, effects) = step(state, Event::Restarted).unwrap();
    journal.append(&Move { event: Event::Restarted, after, effects, plan: None }, at(4)).unwrap();
    assert_eq!(journal.unfinished().unwrap()[0].state.clone().unwrap().restarts, 1);
    write(&mut journal, &new_run("run-1"), story(), || {});
    drop(journal);
    assert_eq!(Journal::open(&path, at(5)).unwrap().1, None, "it is brought up once");
}

#[test]
fn an_old_apply_goes_on_before_its_gates_and_is_told_as_given_up_after() {
    let (_directory, path) = directory();
    let old = schema::create_first(&path);
    put(&old, "planning", "apply", "planning", &[STARTED, REFRESHED, DUE]);
    put(&old, "gating", "apply", "gating", &[STARTED, REFRESHED, DUE, SIMULATED]);
    put(&old, "applying", "apply", "applying", &[STARTED, REFRESHED, DUE, SIMULATED, OPEN]);
    drop(old);
    let (journal, _) = Journal::open(&path, at(3)).unwrap();
    let left = journal.unfinished().unwrap();
    let told: Vec<_> = left
        .iter()
        .map(|run| run.state.as_ref().map(|state| state.phase.code()).map_err(String::as_str))
        .collect();
    assert_eq!(told[..2], [Ok("planning"), Ok("gating")]);
    let why = told[2].unwrap_err();
    assert!(
        why.starts_with("an older patchd wrote it and did not say what is needed now: missing field"),
        "{why}"
    );
}

#[test]
fn a_change_that_fails_half_way_leaves_version_1_as_it_was() {
    let (_directory, path) = directory();
    let old = schema::create_first(&path);
    put(&old, "scan", "scan", "assessing", &[STARTED, REFRESHED]);
    drop(old);
    let whole = rusqlite::Connection::open(&path).unwrap();
    whole.execute_batch("ALTER TABLE runs ADD COLUMN wish TEXT").unwrap();
    drop(whole);
    // The second column of that name makes the whole change fail, as anything else in its middle would.
    assert!(Journal::open(&path, at(3)).is_err());
    let again = rusqlite::Connection::open(&path).unwrap();
    let version: i64 = again.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let plans: i64 = again
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'plans'", [], |row| row.get(0))
        .unwrap();
    assert_eq!((version, plans), (1, 0));
}
