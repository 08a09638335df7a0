//! The spool with a directory as its store. With S3 it is a scenario.

use patchd_host::durable::{atomic_write, create_directories};
use patchd_host::file_store::FileStore;
use tempfile::TempDir;

use super::*;

const REPORT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/fixtures/report-v1.json"));

struct Bench {
    place: TempDir,
    spool: Spool,
    store: Store,
}

async fn bench(limits: SpoolLimits) -> Bench {
    let place = tempfile::tempdir().unwrap();
    let spool = Spool::open(place.path().join("spool"), limits).await.unwrap();
    let store = Store::File(FileStore::new(place.path().join("store")));
    Bench { place, spool, store }
}

/// A report with this id, `minute` minutes after the first.
fn report(id: &str, minute: i64, operation: OperationWire) -> ReportDocument {
    let mut document: ReportDocument = serde_json::from_str(REPORT).unwrap();
    document.id = id.into();
    document.operation = operation;
    document.started_at += jiff::SignedDuration::from_mins(minute);
    document
}

fn scan(id: &str, minute: i64) -> ReportDocument {
    report(id, minute, OperationWire::Scan)
}

impl Bench {
    async fn waiting(&self) -> u64 {
        self.spool.contents().await.unwrap().reports
    }

    /// Puts a file where the store needs a directory: the store is away.
    fn break_store(&self) {
        atomic_write(&self.place.path().join("store"), b"", 0o600).unwrap();
    }

    fn mend_store(&self) {
        std::fs::remove_file(self.place.path().join("store")).unwrap();
    }

    fn stored(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.place.path().join("store").join(key)).unwrap()
    }
}

#[tokio::test]
async fn reports_leave_the_oldest_first_and_only_when_stored() {
    let bench = bench(SpoolLimits::default()).await;
    let newer = bench.spool.add(&scan("newer", 5)).await.unwrap();
    let older = bench.spool.add(&scan("older", 0)).await.unwrap();
    assert_eq!(bench.waiting().await, 2);
    let flushed = bench.spool.flush(&bench.store).await.unwrap();
    assert_eq!(flushed.stored, [older.as_str(), newer.as_str()]);
    assert!(flushed.waiting.is_none() && flushed.warnings.is_empty());
    assert_eq!(bench.waiting().await, 0);
    let document = gzip::decode(&bench.stored(newer.as_str()), 1 << 20).unwrap();
    assert_eq!(document, scan("newer", 5));
    let latest = ReportKey::latest(&document);
    assert_eq!(bench.stored(latest.as_str()), bench.stored(newer.as_str()), "the newest is the latest");
}

#[tokio::test]
async fn a_kill_between_put_and_delete_stores_nothing_twice_and_loses_nothing() {
    let bench = bench(SpoolLimits::default()).await;
    let key = bench.spool.add(&scan("run", 0)).await.unwrap();
    let spooled = bench.spool.read(key.as_str()).await.unwrap().unwrap();
    // What a killed process leaves: the report is stored, and still in the spool.
    bench.store.put(key.as_str(), spooled.clone()).await.unwrap();
    let again = Spool::open(bench.place.path().join("spool"), SpoolLimits::default()).await.unwrap();
    let flushed = again.flush(&bench.store).await.unwrap();
    assert_eq!(flushed.stored, [key.as_str()]);
    assert_eq!(bench.stored(key.as_str()), spooled);
    assert_eq!(bench.waiting().await, 0);
}

#[tokio::test]
async fn a_half_written_file_of_a_dead_process_is_cleared_and_of_a_living_one_is_not() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("v1/reports/a/r/h");
    create_directories(&directory, 0o750).unwrap();
    // No process has a number that large: the kernel's limit is 2^22.
    let dead = directory.join(".patchd-999999999-0.tmp");
    let living = directory.join(format!(".patchd-{}-7777.tmp", std::process::id()));
    let foreign = directory.join("notes.txt");
    for file in [&dead, &living, &foreign] {
        atomic_write(file, b"half", 0o600).unwrap();
    }
    let spool = Spool::open(place.path(), SpoolLimits::default()).await.unwrap();
    assert!(!dead.exists() && living.exists() && foreign.exists());
    assert_eq!(spool.contents().await.unwrap(), SpoolContents::default(), "none of them is a report");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_asked_again_later_and_later() {
    let bench = bench(SpoolLimits::default()).await;
    bench.break_store();
    bench.spool.add(&scan("run", 0)).await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let flushed = bench.spool.flush(&bench.store).await.unwrap();
        let (error, wait) = flushed.waiting.unwrap();
        assert!(error.to_string().contains("/store/"), "{error}");
        waits.push(wait);
        assert!(bench.spool.flush(&bench.store).await.unwrap().is_deferred, "too soon");
        tokio::time::advance(wait).await;
    }
    assert!(waits.windows(2).take(4).all(|pair| pair[0] < pair[1] * 2), "{waits:?}");
    assert!(FIRST_WAIT / 2 <= waits[0] && waits[0] <= FIRST_WAIT, "{waits:?}");
    assert!(LONGEST_WAIT / 2 <= waits[7] && waits[7] <= LONGEST_WAIT, "{waits:?}");
    assert_eq!(bench.waiting().await, 1, "and the report is still there");

    bench.mend_store();
    let flushed = bench.spool.flush(&bench.store).await.unwrap();
    assert_eq!(flushed.stored.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_asks_need_not_wait() {
    let bench = bench(SpoolLimits::default()).await;
    bench.break_store();
    bench.spool.add(&scan("run", 0)).await.unwrap();
    assert!(bench.spool.flush(&bench.store).await.unwrap().waiting.is_some());
    bench.mend_store();
    bench.spool.retry_at_once().await;
    assert_eq!(bench.spool.flush(&bench.store).await.unwrap().stored.len(), 1);
}

#[tokio::test]
async fn a_report_that_no_store_takes_is_put_aside_and_holds_nobody_up() {
    let bench = bench(SpoolLimits::default()).await;
    let bad = bench.spool.add(&scan("bad", 0)).await.unwrap();
    let good = bench.spool.add(&scan("good", 1)).await.unwrap();
    bench.store.put(bad.as_str(), Bytes::from_static(b"another report")).await.unwrap();
    let flushed = bench.spool.flush(&bench.store).await.unwrap();
    assert_eq!(flushed.stored, [good.as_str()]);
    assert_eq!(flushed.refused.len(), 1);
    let contents = bench.spool.contents().await.unwrap();
    assert_eq!((contents.reports, contents.refused), (0, 1));
    assert!(contents.bytes != 0, "what was refused takes room");
    assert!(bench.place.path().join("spool/refused").join(bad.as_str()).exists());
    assert!(bench.spool.flush(&bench.store).await.unwrap().refused.is_empty(), "it is not asked again");
}

#[tokio::test]
async fn a_full_spool_takes_no_scans_and_keeps_a_quarter_for_applies() {
    let bench = bench(SpoolLimits { reports: 4, bytes: 1 << 20 }).await;
    for minute in 0..3 {
        bench.spool.add(&scan("run", minute)).await.unwrap();
    }
    let error = bench.spool.add(&scan("run", 3)).await.unwrap_err();
    assert!(matches!(error, SpoolError::Full { reports: 3, .. }), "{error:?}");
    bench.spool.check_room(OperationWire::Apply, 1000).await.unwrap();
    bench.spool.add(&report("change", 4, OperationWire::Apply)).await.unwrap();
    assert!(bench.spool.check_room(OperationWire::Apply, 1000).await.is_err());
    assert_eq!(bench.waiting().await, 4, "nothing was dropped for anything");
    bench.spool.flush(&bench.store).await.unwrap();
    bench.spool.add(&scan("run", 5)).await.unwrap();
}

#[tokio::test]
async fn bytes_count_too() {
    let bench = bench(SpoolLimits { reports: 100, bytes: 3000 }).await;
    bench.spool.add(&scan("one", 0)).await.unwrap();
    assert!(matches!(bench.spool.add(&scan("two", 1)).await, Err(SpoolError::Full { .. })));
}
