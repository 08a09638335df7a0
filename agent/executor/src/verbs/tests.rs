//! The verbs from request to reply, against an apt that is a script: what is refused, in which order apt is called, and
//! that nothing is done twice. The real apt is in the scenarios.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use patchd_host::config_files;
use patchd_host::durable::{atomic_write, create_directories};
use patchd_protocol::executor::{ClockWire, RefusalWire, TransactionRecord, TransactionState};
use patchd_protocol::patchers::{Patcher, PatcherAction};
use serde_json::json;

use super::*;

/// In its directory: `calls` gets the argument vectors, `dry` is what a dry run says, `after` is the status file that a
/// real run leaves, `extended` what it does to the marks, and files `dry.code`, `download.code`, `real.code` are exit codes.
const APT_GET: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "apt-get $*" >>"$here/calls"
code() { [ -e "$here/$1.code" ] && exit "$(cat "$here/$1.code")"; exit 0; }
case " $* " in
*" update "*) cat "$here/refresh"; code refresh ;;
*" -s "*) cat "$here/dry"; [ -e "$here/dry.code" ] && echo "E: no" >&2; code dry ;;
*" -d "*) echo downloading; code download ;;
*) echo "installing"; cp "$here/after" "$here/root/var/lib/dpkg/status"
   [ -e "$here/extended" ] && cp "$here/extended" "$here/root/var/lib/apt/extended_states"; code real ;;
esac
"#;

const APT_MARK: &str = "#!/bin/sh\necho \"apt-mark $*\" >>\"$(dirname \"$0\")/calls\"\n";

pub(super) const ALWAYS: &str =
    "[clock]\nrequire_synchronised = false\n[[window]]\nname = \"always\"\nschedule = \"daily 00:00 +24h\"\n";

pub(super) fn noon() -> Timestamp {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

pub(super) struct Site {
    directory: tempfile::TempDir,
    pub(super) executor: Executor,
}

impl Site {
    /// A host with `app`, `lib` (automatic) and `doc` at version 1, and an apt that would bring two of them to 2.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let owner = nix::unistd::Uid::effective().as_raw();
        let root = Root::at(directory.path().join("root"));
        let records = Records::open(&directory.path().join("state"), owner, root.clone()).unwrap();
        let executor = Executor {
            policy: Policy::new(root.clone(), owner),
            apt: Apt::new(directory.path(), records.output()),
            inhibitors: Inhibitors::new(directory.path(), records.output()),
            dpkg: Dpkg::new(directory.path()),
            root,
            records,
            grants: Grants::open(&directory.path().join("state"), owner).unwrap(),
            reboots: Reboots::new(directory.path(), &directory.path().join("state"), || {
                Some("boot-1".into())
            }),
            systemctl: crate::patchers::Systemctl::new(
                std::path::Path::new("/nonexistent"),
                directory.path(),
            ),
            now: noon,
            stopping: AtomicBool::new(false),
            clock: || Synchronisation::Synchronised,
        };
        let site = Self { directory, executor };
        site.put("apt-get", APT_GET);
        site.put("apt-mark", APT_MARK);
        for script in ["apt-get", "apt-mark"] {
            std::fs::set_permissions(site.path(script), Permissions::from_mode(0o755)).unwrap();
        }
        site.put(&format!("root/{}", config_files::MAIN_FILE), ALWAYS);
        site.put("root/var/lib/dpkg/status", &status("1", "1"));
        site.put(
            "root/var/lib/apt/extended_states",
            "Package: lib\nArchitecture: amd64\nAuto-Installed: 1\n\n",
        );
        site.put("after", &status("2", "2"));
        site.put("dry", "Inst lib [1] (2 Lab:1/st [amd64])\nInst app [1] (2 Lab:1/st [amd64])\n");
        site.put("calls", "");
        site.put("refresh", "Hit:1 copy:/srv/repo ./ InRelease\n");
        site
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        create_directories(path.parent().unwrap(), 0o755).unwrap();
        atomic_write(&path, text.as_bytes(), 0o644).unwrap();
    }

    /// The calls of apt so far, each by what makes it what it is.
    fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.path("calls")).unwrap();
        let kind = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let has = |word: &str| words.contains(&word);
            let at = words.iter().position(|word| *word == "install" || *word == "auto").unwrap_or(0);
            let names = words[at..].join(" ");
            match (has("-s"), has("-d"), has("update")) {
                (true, _, _) => format!("-s {names}"),
                (_, true, _) => format!("-d {names}"),
                (_, _, true) => "update".into(),
                _ => names,
            }
        };
        calls.lines().map(kind).collect()
    }

    pub(super) fn ask(&self, verb: Verb) -> Reply {
        self.ask_as(0, verb)
    }

    pub(super) fn ask_as(&self, uid: u32, verb: Verb) -> Reply {
        let peer = Peer { uid, is_there: &|| true };
        answer(&self.executor, &Request { protocol: PROTOCOL, run: "run-1".into(), verb }, &peer, &mut |_| {})
    }

    fn apply(&self, id: &str, changes: &[(&str, &str, &str)]) -> Reply {
        let plan = plan(changes);
        let digest = Plan::try_from(&plan).map(|plan| digest(&plan)).unwrap_or_default();
        let (transaction, estimate_seconds, grant) = (id.into(), 60, None);
        self.ask(Verb::Apply { transaction, plan, digest, estimate_seconds, grant })
    }

    #[track_caller]
    fn check_refused(&self, reply: Reply, expected: RefusalCode, part: &str) {
        let Reply::Refused(RefusalWire { code, message, .. }) = reply else {
            panic!("not refused: {reply:?}")
        };
        assert_eq!(code, expected, "{message}");
        assert!(message.contains(part), "{message}");
        assert!(!self.calls().iter().any(|call| call.starts_with("install")), "{:?}", self.calls());
        let transactions = std::fs::read_dir(self.path("state/transactions")).unwrap();
        let kept: Vec<_> = transactions.map(|entry| entry.unwrap().file_name()).collect();
        assert!(!kept.iter().any(|name| name.to_string_lossy().ends_with(".json")), "{kept:?}");
    }
}

pub(super) fn status(app: &str, lib: &str) -> String {
    let stanza = |(name, version): (&str, &str)| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\
             Maintainer: L <l@example.invalid>\nDescription: toy\n\n"
        )
    };
    [("app", app), ("doc", "1"), ("dpkg", "1"), ("lib", lib)].map(stanza).concat()
}

fn plan(changes: &[(&str, &str, &str)]) -> PlanWire {
    let change = |(name, from, to): &(&str, &str, &str)| PlannedChangeWire {
        name: (*name).into(),
        architecture: "amd64".into(),
        from: Some((*from).into()),
        to: (*to).into(),
    };
    PlanWire { changes: changes.iter().map(change).collect(), removals: vec![] }
}

const BOTH: [(&str, &str, &str); 2] = [("app", "1", "2"), ("lib", "1", "2")];

#[track_caller]
fn applied(reply: Reply) -> TransactionRecord {
    match reply {
        Reply::Done(record) => record,
        other => panic!("not applied: {other:?}"),
    }
}

#[test]
fn a_plan_is_simulated_downloaded_applied_marked_and_read_back() {
    let site = Site::new();
    site.put("extended", "");
    let record = applied(site.apply("t-1", &BOTH));
    assert_eq!(
        site.calls(),
        ["-s install app=2 lib=2", "-d install app=2 lib=2", "install app=2 lib=2", "auto lib:amd64"]
    );
    assert_eq!((record.state, record.exit_code), (TransactionState::Ended, Some(0)));
    assert_eq!((record.started_at, record.ended_at), (noon(), Some(noon())));
    assert!(record.changes.iter().all(|change| change.done), "{record:?}");
    assert_eq!(record.output_tail, ["downloading", "installing"]);
}

#[test]
fn asked_again_the_record_answers_and_nothing_is_applied_twice() {
    let site = Site::new();
    let first = applied(site.apply("t-1", &BOTH));
    let calls = site.calls();
    // The host moved on, the window is gone, and still it is what was recorded.
    site.put("root/var/lib/dpkg/status", &status("3", "3"));
    site.put(&format!("root/{}", config_files::MAIN_FILE), "");
    assert_eq!(applied(site.apply("t-1", &BOTH)), first);
    assert_eq!(
        site.ask(Verb::Recall { transaction: "t-1".into(), wait_seconds: 0 }),
        Reply::Recalled(Some(first))
    );
    assert_eq!(site.ask(Verb::Recall { transaction: "t-2".into(), wait_seconds: 0 }), Reply::Recalled(None));
    let replayed = site.apply("t-1", &[("doc", "1", "2")]);
    assert!(
        matches!(&replayed, Reply::Refused(refusal) if refusal.code == RefusalCode::DigestMismatch),
        "{replayed:?}"
    );
    assert_eq!(site.calls(), calls);
}

#[test]
fn success_is_what_the_database_says_and_not_the_exit_code() {
    let lying = Site::new();
    lying.put("after", &status("1", "2"));
    let record = applied(lying.apply("t-1", &BOTH));
    let done: Vec<_> = record.changes.iter().map(|change| (change.name.as_str(), change.done)).collect();
    assert_eq!((record.exit_code, done), (Some(0), vec![("app", false), ("lib", true)]));

    let grumbling = Site::new();
    grumbling.put("real.code", "100");
    let record = applied(grumbling.apply("t-1", &BOTH));
    assert_eq!(record.exit_code, Some(100));
    assert!(record.changes.iter().all(|change| change.done));
}

#[test]
fn a_transaction_that_was_cut_is_told_as_interrupted_and_not_repeated() {
    let site = Site::new();
    let record = applied(site.apply("t-1", &BOTH));
    // The executor died before the outcome, and app alone was done.
    std::fs::remove_file(site.path("state/transactions/t-1.outcome.json")).unwrap();
    site.put("root/var/lib/dpkg/status", &status("2", "1"));
    let calls = site.calls();
    let again = applied(site.apply("t-1", &BOTH));
    assert_eq!((again.state, again.ended_at), (TransactionState::Interrupted, None));
    let done: Vec<_> = again.changes.iter().map(|change| (change.name.as_str(), change.done)).collect();
    assert_eq!(done, [("app", true), ("lib", false)]);
    assert_eq!(again.digest, record.digest);
    assert_eq!(site.calls(), calls);
}

#[test]
fn outside_a_window_nothing_is_even_asked_of_apt() {
    let site = Site::new();
    let night = "[[window]]\nname = \"night\"\nschedule = \"daily 02:00 +3h\"\n";
    site.put(&format!("root/{}", config_files::MAIN_FILE), night);
    site.check_refused(
        site.apply("t-1", &BOTH),
        RefusalCode::OutsideWindow,
        "\"night\" from 2026-11-30T02:00:00Z",
    );
    site.put(&format!("root/{}", config_files::MAIN_FILE), "");
    site.check_refused(site.apply("t-1", &BOTH), RefusalCode::NoWindow, "no window is configured");
    assert_eq!(site.calls(), Vec::<String>::new());
}

#[test]
fn a_dry_run_that_differs_stops_it() {
    let site = Site::new();
    site.put(
        "dry",
        "Inst lib [1] (2 Lab:1/st [amd64])\nInst app [1] (3 Lab:1/st [amd64])\nInst new (1 L [amd64])\n",
    );
    site.check_refused(
        site.apply("t-1", &BOTH),
        RefusalCode::PlanDiffers,
        "simulated but not planned: new:amd64",
    );
    site.put("dry", "Inst lib [1] (2 L [amd64])\nInst app [1] (2 L [amd64])\nRemv doc [1]\n");
    site.check_refused(site.apply("t-1", &BOTH), RefusalCode::NotAllowed, "would remove: doc");
    site.put("dry", "");
    site.check_refused(site.apply("t-1", &BOTH), RefusalCode::PlanDiffers, "planned but not simulated");
    site.put("dry.code", "100");
    site.check_refused(site.apply("t-1", &BOTH), RefusalCode::PlanDiffers, "apt-get would not do it: no");
}

#[test]
fn a_dry_run_that_cannot_be_read_stops_it() {
    let site = Site::new();
    site.put("dry", "Inst lib\n");
    let reply = site.apply("t-1", &BOTH);
    assert!(matches!(&reply, Reply::Failed { message } if message.contains("Inst lib")), "{reply:?}");
}

#[test]
fn another_starting_point_or_a_downgrade_stops_it() {
    let site = Site::new();
    let other = site.apply("t-1", &[("app", "0.9", "2")]);
    site.check_refused(other, RefusalCode::PlanDiffers, "app:amd64 is 1, and the plan starts from 0.9");
    let unknown = site.apply("t-1", &[("none", "1", "2")]);
    site.check_refused(unknown, RefusalCode::PlanDiffers, "none:amd64 is not installed");
    let down = site.apply("t-1", &[("app", "1", "1~rc1")]);
    site.check_refused(down, RefusalCode::NotAllowed, "app:amd64 would go down to 1~rc1");
    assert_eq!(site.calls(), Vec::<String>::new());
}

#[test]
fn a_failed_download_changes_nothing_and_may_be_tried_again() {
    let site = Site::new();
    site.put("download.code", "100");
    let failed = site.apply("t-1", &BOTH);
    site.check_refused(failed, RefusalCode::Download, "ended with 100; nothing was changed: downloading");
    assert_eq!(site.ask(Verb::Recall { transaction: "t-1".into(), wait_seconds: 0 }), Reply::Recalled(None));
    std::fs::remove_file(site.path("download.code")).unwrap();
    assert!(applied(site.apply("t-1", &BOTH)).changes.iter().all(|change| change.done));
}

#[test]
fn a_database_in_doubt_stops_it() {
    let site = Site::new();
    std::fs::remove_file(site.path("root/var/lib/dpkg/status")).unwrap();
    let reply = site.apply("t-1", &BOTH);
    assert!(matches!(&reply, Reply::Failed { message } if message.contains("in doubt")), "{reply:?}");
    assert_eq!(site.calls(), Vec::<String>::new());
}

#[test]
fn one_operation_at_a_time() {
    let site = Site::new();
    let _held = site.executor.hold("transaction t-0").unwrap();
    for reply in [
        site.apply("t-1", &BOTH),
        site.ask(Verb::Refresh { transaction: "t-2".into() }),
        site.ask(Verb::Simulate { plan: plan(&BOTH) }),
    ] {
        site.check_refused(reply, RefusalCode::Busy, "transaction t-0");
    }
    assert!(matches!(site.ask(Verb::ReadBack { packages: vec![] }), Reply::ReadBack { .. }));
}

#[test]
fn hostile_plans_and_ids_are_refused() {
    let site = Site::new();
    let option = site.apply("t-1", &[("--allow-downgrades", "1", "2")]);
    site.check_refused(option, RefusalCode::Malformed, "it has the character '-'");
    let option = site.apply("t-1", &[("app", "1", "2 -o x=y")]);
    site.check_refused(option, RefusalCode::Malformed, "it has the character ' '");
    let traversal = site.apply("../../etc/x", &BOTH);
    site.check_refused(traversal, RefusalCode::Malformed, "is no id of a transaction");
    let forged = site.ask(Verb::Apply {
        transaction: "t-1".into(),
        plan: plan(&BOTH),
        digest: "0".repeat(64),
        estimate_seconds: 1,
        grant: None,
    });
    site.check_refused(forged, RefusalCode::DigestMismatch, "not 000");
    let names: Vec<_> = (0..=MAX_CHANGES).map(|number| format!("p{number}")).collect();
    let giant: Vec<_> = names.iter().map(|name| (name.as_str(), "1", "2")).collect();
    site.check_refused(site.apply("t-1", &giant), RefusalCode::Malformed, "over the limit of 2000");
    let empty = site.apply("t-1", &[]);
    site.check_refused(empty, RefusalCode::Malformed, "the plan changes nothing");
    let package = PackageWire { name: "a b".into(), architecture: "amd64".into() };
    site.check_refused(
        site.ask(Verb::ReadBack { packages: vec![package] }),
        RefusalCode::Malformed,
        "it has the character ' '",
    );
}

#[test]
fn a_refresh_names_what_failed() {
    let site = Site::new();
    let refreshed = site.ask(Verb::Refresh { transaction: "t-1".into() });
    assert!(
        matches!(&refreshed, Reply::Refreshed(refresh) if refresh.failures.is_empty() && refresh.exit_code == Some(0))
    );
    site.put("refresh", "Err:1 copy:/srv/repo ./ InRelease\n");
    let refreshed = site.ask(Verb::Refresh { transaction: "t-2".into() });
    let Reply::Refreshed(refresh) = refreshed else { panic!("{refreshed:?}") };
    assert_eq!(
        (refresh.exit_code, refresh.failures),
        (Some(0), vec!["copy:/srv/repo ./ InRelease".to_owned()])
    );
}

#[test]
fn requests_are_refused_by_what_is_wrong_with_them() {
    #[track_caller]
    fn check(message: Value, expected: RefusalCode, part: &str) {
        let Err(Stop::Refused(RefusalWire { code, message, .. })) = decode(message) else {
            panic!("not refused")
        };
        assert_eq!(code, expected, "{message}");
        assert!(message.contains(part), "{message}");
    }
    check(json!([]), RefusalCode::Protocol, "speaks protocol 2, and the request none");
    check(json!({"protocol": 9}), RefusalCode::Protocol, "the request 9");
    check(json!({"protocol": 2, "run": "r"}), RefusalCode::Malformed, "no verb");
    let shell = json!({"protocol": 2, "run": "r", "verb": {"shell": {"command": "id"}}});
    check(
        shell,
        RefusalCode::UnknownVerb,
        "there is no verb \"shell\"; this executor knows observe, processes, refresh, simulate",
    );
    check(json!({"protocol": 2, "run": "r", "verb": "halt"}), RefusalCode::UnknownVerb, "\"halt\"");
    let extra = json!({"protocol": 2, "run": "r", "root": "/x", "verb": {"recall": {"transaction": "t", "wait_seconds": 0}}});
    check(extra, RefusalCode::Malformed, "unknown field `root`");
    let two = json!({"protocol": 2, "run": "r", "verb": {"recall": {"transaction": "t", "wait_seconds": 0}, "refresh": {"transaction": "t"}}});
    check(two, RefusalCode::Malformed, "the request can't be read");
    assert!(
        decode(
            json!({"protocol": 2, "run": "r", "verb": {"recall": {"transaction": "t", "wait_seconds": 0}}})
        )
        .is_ok()
    );
}

#[test]
fn only_root_grants_and_only_the_plan_that_it_names() {
    let site = Site::new();
    let grant = |digest: String| Verb::Grant { plan: plan(&BOTH), digest, reason: "why".into(), seconds: 60 };
    let digest = digest(&Plan::try_from(&plan(&BOTH)).unwrap());
    let by_daemon = site.ask_as(999, grant(digest.clone()));
    site.check_refused(by_daemon, RefusalCode::NotAuthorised, "only root may grant");
    site.check_refused(site.ask(grant("0".repeat(64))), RefusalCode::DigestMismatch, "not 000");
    let observed = |digest: Option<&str>| match site.ask(Verb::Observe { digest: digest.map(str::to_owned) })
    {
        Reply::Observed(observed) => observed.grant,
        other => panic!("{other:?}"),
    };
    assert_eq!(observed(Some(&digest)), None);
    let until = noon() + jiff::SignedDuration::from_secs(60);
    assert_eq!(site.ask(grant(digest.clone())), Reply::Granted { until });
    let found = observed(Some(&digest)).unwrap();
    assert_eq!((found.reason.as_str(), found.until), ("why", until));
    assert_eq!((observed(None), observed(Some("x"))), (None, None));
}

#[test]
fn what_is_wrong_with_the_database_is_observed() {
    let site = Site::new();
    let damage = || match site.ask(Verb::Observe { digest: None }) {
        Reply::Observed(observed) => {
            assert!(!observed.filesystems.is_empty());
            assert_eq!((observed.clock, observed.lock_holder), (ClockWire::Synchronised, None));
            observed.database
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(damage(), Vec::<String>::new());
    let cut = status("1", "1").replacen("install ok installed", "install reinstreq half-installed", 1);
    site.put("root/var/lib/dpkg/status", &cut);
    assert_eq!(damage(), ["app:amd64: its installation was cut, and it has to be installed again"]);
}

/// docs/accidents.md, row 47: who is told to end begins nothing any more.
#[test]
fn an_executor_that_is_told_to_end_begins_no_change() {
    let site = Site::new();
    site.executor.stopping.store(true, Ordering::Relaxed);
    let reply = site.apply("t-1", &BOTH);
    assert!(
        matches!(&reply, Reply::Failed { message } if message.contains("nothing was changed")),
        "{reply:?}"
    );
    assert!(!site.calls().iter().any(|call| call.starts_with("install")), "{:?}", site.calls());
    assert_eq!(site.ask(Verb::Recall { transaction: "t-1".into(), wait_seconds: 0 }), Reply::Recalled(None));
}

#[test]
fn only_root_decides_on_other_patchers() {
    let site = Site::new();
    for action in [PatcherAction::Disable, PatcherAction::Restore] {
        let verb = Verb::Patcher { patcher: Patcher::UnattendedUpgrades, action };
        let by_daemon = site.ask_as(999, verb.clone());
        site.check_refused(by_daemon, RefusalCode::NotAuthorised, "only root may decide");
    }
    // A name that is not in the list is no request at all, whatever it would lead to.
    for name in ["sshd.service", "../../etc", "unattended-upgrades.service"] {
        let request =
            json!({"protocol": 2, "run": "r", "verb": {"patcher": {"patcher": name, "action": "disable"}}});
        assert!(decode(request).is_err(), "{name}");
    }
}
