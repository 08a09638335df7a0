//! The doctor beside a server that plays the metadata service, and with settings that need one or none.

use patchd_protocol::doctor::CheckVerdictWire;

use super::*;
use crate::store::Remedy;
use crate::store::spool::SpoolLimits;

fn nothing(_: &str) -> Option<String> {
    None
}

async fn doctor_of(
    settings: Settings,
    environment: fn(&str) -> Option<String>,
) -> (tempfile::TempDir, Doctor) {
    let place = tempfile::tempdir().unwrap();
    let root = Root::at(place.path());
    let (_, receiver) = watch::channel(settings);
    let doctor = Doctor {
        identities: Arc::new(Identities::new(&root, None)),
        executor: ExecutorClient::at_socket(place.path().join("executor.sock")),
        settings: receiver,
        spool: Spool::open(place.path().join("spool"), SpoolLimits::default()).await.ok(),
        deliveries: Deliveries::default(),
        environment: Environment(environment),
        state: place.path().to_owned(),
        now: || Timestamp::UNIX_EPOCH,
        last: Mutex::new(None),
    };
    (place, doctor)
}

#[track_caller]
fn check(checks: &[CheckWire], name: CheckName, verdict: CheckVerdictWire, says: &str) {
    let found = checks.iter().find(|check| check.name == name).unwrap();
    assert_eq!(found.verdict, verdict, "{found:?}");
    assert!(found.detail.contains(says), "{found:?}");
}

#[tokio::test]
async fn a_host_whose_reports_go_to_a_folder_needs_nothing_of_aws() {
    let (place, doctor) = doctor_of(Settings::default(), nothing).await;
    let settings = Settings {
        store: patchd_protocol::config::StoreSettings {
            location: format!("file://{}/reports", place.path().display()).parse().unwrap(),
            s3: Default::default(),
        },
        ..Settings::default()
    };
    let doctor = Doctor { settings: watch::channel(settings).1, ..doctor };
    let checks = doctor.live().await;
    check(&checks, CheckName::Store, CheckVerdictWire::Ok, "reports go to file://");
    check(&checks, CheckName::Credentials, CheckVerdictWire::Ok, "none are needed");
    check(&checks, CheckName::Region, CheckVerdictWire::Ok, "none is needed");
    check(&checks, CheckName::Identity, CheckVerdictWire::Ok, "no EC2 instance");
    check(&checks, CheckName::Proxy, CheckVerdictWire::Ok, "none is set");
    check(&checks, CheckName::Executor, CheckVerdictWire::Failing, "can't reach the executor");
    check(&[delivery::check(&doctor).await], CheckName::Delivery, CheckVerdictWire::Ok, "no report waits");
    // Asked again at once, the answer is the one that was given.
    assert_eq!(doctor.live().await, checks);
}

#[tokio::test]
async fn what_a_bucket_lacks_is_told_each_by_its_own_name() {
    let mut settings = Settings::default();
    settings.store.location = "s3://reports/fleet".parse().unwrap();
    let (_place, doctor) = doctor_of(settings, nothing).await;
    let settings = doctor.settings.borrow().clone();
    assert_eq!(cloud::region(&doctor, &settings).await.verdict, CheckVerdictWire::Failing);
    assert_eq!(cloud::credentials(&doctor, &settings).await.verdict, CheckVerdictWire::CannotTell);
    doctor.deliveries.note(Delivered::Stored { key: "v1/x".into() });
    assert_eq!(cloud::credentials(&doctor, &settings).await.verdict, CheckVerdictWire::Ok);
}

#[tokio::test]
async fn a_report_that_waits_is_told_with_what_would_mend_it() {
    let (place, doctor) = doctor_of(Settings::default(), nothing).await;
    let sentence = "the bucket does not exist".to_owned();
    doctor.deliveries.note(Delivered::Waiting { remedy: Remedy::Configuration, sentence });
    // Nothing waits: what was is over.
    assert_eq!(delivery::check(&doctor).await.verdict, CheckVerdictWire::Ok);
    drop(place);
    let without = Doctor { spool: None, ..doctor };
    assert_eq!(delivery::check(&without).await.verdict, CheckVerdictWire::Failing);
}

#[test]
fn a_proxy_that_would_get_tokens_is_told() {
    let verdict = |environment: fn(&str) -> Option<String>| cloud::proxy(&Environment(environment)).verdict;
    fn http(name: &str) -> Option<String> {
        (name == "HTTP_PROXY").then(|| "http://proxy:3128".to_owned())
    }
    assert_eq!(verdict(http), CheckVerdictWire::Warning);
    fn secure(name: &str) -> Option<String> {
        (name == "HTTPS_PROXY").then(|| "http://proxy:3128".to_owned())
    }
    assert_eq!(verdict(secure), CheckVerdictWire::Ok);
    fn spared(name: &str) -> Option<String> {
        http(name).or_else(|| (name == "NO_PROXY").then(|| "localhost, 169.254.169.254".to_owned()))
    }
    assert_eq!(verdict(spared), CheckVerdictWire::Ok);
    fn container(name: &str) -> Option<String> {
        spared(name).or_else(|| (name == "AWS_CONTAINER_CREDENTIALS_FULL_URI").then(|| "http://x".to_owned()))
    }
    assert_eq!(verdict(container), CheckVerdictWire::Failing);
}

#[tokio::test(start_paused = true)]
async fn no_check_may_hang() {
    let late = in_time(CheckName::Store, std::future::pending()).await;
    assert_eq!(late.verdict, CheckVerdictWire::CannotTell);
    assert!(late.detail.contains("within 6 seconds"), "{late:?}");
}
