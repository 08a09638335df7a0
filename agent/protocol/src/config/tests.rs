//! The configuration as its callers see it: texts in, settings or the full list of mistakes out.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::store_url::StoreUrl;

fn file(name: &str, text: &str) -> ConfigFile {
    ConfigFile { name: name.into(), content: text.into() }
}

fn read_texts(texts: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    let files: Vec<_> = texts.iter().map(|(name, text)| file(name, text)).collect();
    read(&files, |name| (name == "UTC").then_some(TimeZone::UTC))
}

#[track_caller]
fn check_mistakes(text: &str, expected: &[&str]) {
    let mistakes = read_texts(&[("patchd.toml", text)]).expect_err(text);
    assert_eq!(mistakes.to_string().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn nothing_said_is_the_default_and_has_no_window() {
    assert_eq!(read_texts(&[]).unwrap(), Settings::default());
    assert_eq!(read_texts(&[("a", "# nothing\n"), ("b", "[scan]\n")]).unwrap(), Settings::default());
    assert!(Settings::default().windows.is_empty());
}

/// The lines of the shipped file that stand for a default, without their `#`.
fn shipped_defaults() -> String {
    let shipped = include_str!("../../../../packaging/patchd.toml");
    let line = |line: &'static str| {
        let rest = line.strip_prefix('#')?;
        rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()).then_some(rest)
    };
    shipped.lines().map(|text| line(text).unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_shows_every_default() {
    assert_eq!(read_texts(&[("shipped", &shipped_defaults())]).unwrap(), Settings::default());
    assert_eq!(
        read_texts(&[("as is", include_str!("../../../../packaging/patchd.toml"))]).unwrap(),
        Settings::default()
    );
    // A key that the reader knows and the file doesn't show would be told here as one that may be used.
    let defaults = shipped_defaults();
    for section in ["agent", "baseline", "scan", "store", "apply", "reboot", "clock", "control", "log"] {
        let asked = format!("[{section}]\nzzzzzzzzzzzzzzzzzzzz = 1\n");
        let mistakes = read_texts(&[("asked", &asked)]).unwrap_err().to_string();
        let (_, keys) = mistakes.split_once("use one of: ").expect(&mistakes);
        for key in keys.split(", ") {
            let shown = defaults.lines().any(|line| line.starts_with(&format!("{key} = ")));
            assert!(shown, "packaging/patchd.toml doesn't show {section}.{key}");
        }
    }
}

/// The lines of the shipped file that are examples, without their `#`.
fn shipped_examples() -> String {
    let shipped = include_str!("../../../../packaging/patchd.toml");
    let line = |line: &'static str| line.strip_prefix("#   ").unwrap_or_default();
    shipped.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_has_an_example_of_every_key_of_every_list() {
    let examples = shipped_examples();
    let zone_of = |name: &str| ["UTC", "Europe/Berlin"].contains(&name).then_some(TimeZone::UTC);
    let settings = read(&[file("examples", &examples)], zone_of).unwrap();
    assert_eq!(settings.windows.len(), 2);
    for list in ["window", "freeze", "emergency", "conffile"] {
        let asked = format!("[[{list}]]\nzzzzzzzzzzzzzzzzzzzz = 1\n");
        let mistakes = read_texts(&[("asked", &asked)]).unwrap_err().to_string();
        let (_, keys) = mistakes.split_once("use one of: ").expect(&mistakes);
        let (keys, _) = keys.split_once('\n').unwrap_or((keys, ""));
        for key in keys.split(", ") {
            let shown = examples.lines().any(|line| line.starts_with(&format!("{key} = ")));
            assert!(shown, "packaging/patchd.toml has no example of {list}.{key}");
        }
    }
}

#[test]
fn a_later_file_wins_key_by_key_and_window_by_window() {
    let settings = read_texts(&[
        (
            "patchd.toml",
            "[scan]\ninterval = \"2h\"\nrefresh = false\n[store]\nregion = \"eu-west-1\"\n\
             [[window]]\nname = \"a\"\nschedule = \"Sun 02:00 +3h\"\n[[window]]\nname = \"b\"\nschedule = \"Mon 02:00 +3h\"\n",
        ),
        (
            "10-site.toml",
            "[scan]\ninterval = \"3h\"\n[store]\nregion = \"\"\n[[window]]\nname = \"a\"\nschedule = \"Sat 04:00 +1h UTC\"\ncutoff=\"30m\"\n",
        ),
    ])
    .unwrap();
    assert_eq!(settings.scan.interval, Duration::from_secs(3 * 3_600));
    assert!(!settings.scan.refresh);
    assert_eq!(settings.store.s3.region, None);
    let names: Vec<_> = settings.windows.iter().map(|window| window.name()).collect();
    assert_eq!(names, ["a", "b"]);
    let open = patchd_core::window::verdict(&settings.windows, "2026-11-28T04:29:00Z".parse().unwrap());
    assert!(matches!(open, patchd_core::window::Verdict::Open(_)), "{open:?}");
}

#[test]
fn every_value_is_taken() {
    let settings = read_texts(&[(
        "patchd.toml",
        "[agent]\nhost_id = \"web-1\"\n[scan]\nmax_list_age = \"1d12h\"\n\
         [store]\nurl = \"s3://reports/fleet\"\nendpoint = \"http://127.0.0.1:8333\"\npath_style = true\n\
         region = \"eu-central-1\"\nkms_key_id = \"alias/reports\"\nexpected_bucket_owner = \"123456789012\"\n\
         [control]\nread_group = \"\"\nchange_users = [\"deploy\", \"1001\"]\nchange_groups = [\"wheel\"]\n\
         [log]\nlevel = \"debug\"\n",
    )])
    .unwrap();
    assert_eq!(settings.agent.host_id.as_deref(), Some("web-1"));
    assert_eq!(settings.scan.max_list_age, Duration::from_secs(36 * 3_600));
    let location = StoreUrl::S3 { bucket: "reports".into(), prefix: "fleet".into() };
    assert_eq!(settings.store.location, location);
    assert_eq!(
        settings.store.s3,
        S3Settings {
            endpoint: Some("http://127.0.0.1:8333".into()),
            path_style: true,
            region: Some("eu-central-1".into()),
            kms_key_id: Some("alias/reports".into()),
            expected_bucket_owner: Some("123456789012".into()),
        }
    );
    assert_eq!(settings.control.read_group, None);
    assert_eq!(settings.control.change_users, ["deploy", "1001"]);
    assert_eq!(settings.control.change_groups, ["wheel"]);
    assert_eq!(settings.log.level, LogLevel::Debug);
}

#[test]
fn how_the_host_is_changed_is_said_by_the_last_file_and_its_exceptions_come_first() {
    let settings = read_texts(&[
        (
            "patchd.toml",
            "[apply]\nconffiles = \"hold\"\nreboot_reserve = \"0s\"\nlongest_transaction = \"12h\"\n\
             allow_removal = [\"lib*-old\"]\nallow_downgrade = [\"exact\"]\n[clock]\nrequire_synchronised = false\n\
             [[conffile]]\npackages = \"nginx*\"\nrule = \"replace\"\n\
             [[conffile]]\npackages = \"nginx-core\"\nrule = \"hold\"\n",
        ),
        (
            "10-site.toml",
            "[apply]\nconffiles = \"keep\"\nallow_downgrade = []\n[[conffile]]\npackages = \"*-light\"\nrule = \"keep\"\n",
        ),
    ])
    .unwrap();
    let apply = &settings.apply;
    assert_eq!((apply.reboot_reserve, apply.longest_transaction.as_secs()), (Duration::ZERO, 43_200));
    assert!(apply.allows_removal("libc-old") && !apply.allows_removal("libc"));
    assert!(!apply.allows_downgrade("exact"), "a later list takes the place of an earlier one");
    assert!(!settings.clock.require_synchronised);
    for (package, rule) in [
        ("nginx", ConffileRule::Replace),
        ("nginx-core", ConffileRule::Replace),
        ("nginx-light", ConffileRule::Keep),
        ("openssl", ConffileRule::Keep),
    ] {
        assert_eq!(apply.conffile_rule(package), rule, "{package}");
    }
}

#[test]
fn an_instance_is_named_by_all_three_or_not_at_all() {
    let named = "[agent]\ninstance_id = \"i-0123456789abcdef0\"\naccount = \"123456789012\"\nregion = \"eu-west-1\"\n";
    let settings = read_texts(&[("patchd.toml", named)]).unwrap();
    let instance = settings.agent.instance.unwrap();
    assert_eq!(instance.instance_id, "i-0123456789abcdef0");
    assert_eq!((instance.account.as_str(), instance.region.as_str()), ("123456789012", "eu-west-1"));
    assert_eq!(settings.store.s3.region.as_deref(), Some("eu-west-1"), "the store's, unless it has its own");
    let other = format!("{named}[store]\nregion = \"us-east-1\"\n");
    let settings = read_texts(&[("patchd.toml", &other)]).unwrap();
    assert_eq!(settings.store.s3.region.as_deref(), Some("us-east-1"));
    let gone = "[agent]\ninstance_id = \"\"\naccount = \"\"\nregion = \"\"\n";
    let settings = read_texts(&[("patchd.toml", named), ("10-site.toml", gone)]).unwrap();
    assert_eq!(settings, Settings::default());
    check_mistakes(
        "[agent]\naccount = \"123456789012\"\nregion = \"Ireland\"\n",
        &[
            "patchd.toml:2: agent.instance_id: it is missing: agent.instance_id, agent.account, agent.region go \
             together, or none of them",
            "patchd.toml:3: agent.region: \"Ireland\" is no region; write it like eu-central-1",
        ],
    );
    check_mistakes(
        "[agent]\ninstance_id = \"web-1\"\naccount = \"1\"\nregion = \"eu-west-1\"\n",
        &[
            "patchd.toml:2: agent.instance_id: \"web-1\" is no instance; write it like i-0123456789abcdef0",
            "patchd.toml:3: agent.account: \"1\" is no AWS account; it has 12 digits",
        ],
    );
}

#[test]
fn a_host_is_rebooted_if_needed_unless_policy_says_never() {
    assert_eq!(Settings::default().reboot.policy, RebootPolicy::IfNeeded);
    let settings = read_texts(&[("patchd.toml", "[reboot]\npolicy = \"never\"\n")]).unwrap();
    assert_eq!(settings.reboot.policy, RebootPolicy::Never);
    check_mistakes(
        "[reboot]\npolicy = \"always\"\nwhen = \"now\"\n",
        &[
            "patchd.toml:2: reboot.policy: \"always\" is no policy; use one of: if-needed, never",
            "patchd.toml:3: reboot.when: there is no key \"when\"; use one of: policy",
        ],
    );
}

#[test]
fn a_freeze_lasts_from_its_first_instant_up_to_its_last() {
    let settings = read_texts(&[
        (
            "patchd.toml",
            "[[freeze]]\nname = \"a\"\nfrom = 2026-12-20T00:00:00+01:00\nuntil = 2027-01-04 00:00:00Z\nreason = \"trade\"\n\
             [[freeze]]\nname = \"b\"\nfrom = \"2026-12-01T00:00:00Z\"\nuntil = \"2026-12-21T00:00:00Z\"\nreason = \"audit\"\n",
        ),
        (
            "10-site.toml",
            "[[freeze]]\nname = \"b\"\nfrom = \"2026-12-10T00:00:00Z\"\nuntil = \"2026-12-21T00:00:00Z\"\nreason = \"later\"\n",
        ),
    ])
    .unwrap();
    let at = |now: &str| settings.frozen(now.parse().unwrap()).map(|freeze| freeze.reason);
    assert_eq!(at("2026-12-09T23:59:59Z"), None);
    assert_eq!(at("2026-12-10T00:00:00Z").as_deref(), Some("later (\"b\")"));
    assert_eq!(at("2026-12-19T22:59:59Z").as_deref(), Some("later (\"b\")"));
    assert_eq!(at("2026-12-19T23:00:00Z").as_deref(), Some("trade (\"a\")"), "the one that lasts longest");
    assert_eq!(at("2027-01-04T00:00:00Z"), None);
}

#[test]
fn mistakes_in_how_the_host_is_changed_are_told() {
    check_mistakes(
        "[apply]\nconffiles = \"kep\"\nreboot_reserve = \"3h\"\nallow_removal = [\"a b\"]\nallow_downgrades = []\n\
         [clock]\nrequire_synchronised = \"no\"\n[[conffile]]\npackages = \"[a]\"\nrule = \"new\"\n[[conffile]]\n\
         [conffiles]\n",
        &[
            "patchd.toml:2: apply.conffiles: \"kep\" is no rule; did you mean `keep`?",
            "patchd.toml:3: apply.reboot_reserve: \"3h\" is out of bounds; use 0s to 2h",
            "patchd.toml:4: apply.allow_removal: \"a b\" is no package name with `*` and `?` in it: it has the \
             character ' '",
            "patchd.toml:5: apply.allow_downgrades: there is no key \"allow_downgrades\"; did you mean \
             `allow_downgrade`?",
            "patchd.toml:7: clock.require_synchronised: it must be true or false, not a text",
            "patchd.toml:9: conffile.packages: \"[a]\" is no package name with `*` and `?` in it: it has the \
             character '['",
            "patchd.toml:10: conffile.rule: \"new\" is no rule; use one of: keep, replace, hold",
            "patchd.toml:11: conffile.packages: the conffile has none; write packages = \"nginx*\" and rule = \
             \"replace\"",
            "patchd.toml:11: conffile.rule: the conffile has none; write packages = \"nginx*\" and rule = \
             \"replace\"",
            "patchd.toml:12: there is no section \"conffiles\"; did you mean `conffile`?",
        ],
    );
    check_mistakes(
        "[[freeze]]\nname = \"a\"\nfrom = 2026-12-20T00:00:00\nuntil = 2026-12-20\nreason = \"\"\n\
         [[freeze]]\nname = \"b\"\nfrom = 2026-12-20T00:00:00Z\nuntil = 2026-12-19T00:00:00Z\nreason = \"x\"\n\
         [[freeze]]\nname = \"c\"\nfrom = 1\nuntil = \"2026-12-19T00:00:00Z\"\nreason = \"x\"\n",
        &[
            "patchd.toml:3: freeze.from: \"2026-12-20T00:00:00\" is no date and time with an offset; write it like \
             2026-12-20T00:00:00Z",
            "patchd.toml:4: freeze.until: \"2026-12-20\" is no date and time with an offset; write it like \
             2026-12-20T00:00:00Z",
            "patchd.toml:5: freeze.reason: a reason has 1 to 500 characters on one line",
            "patchd.toml:9: freeze.until: 2026-12-19T00:00:00Z is not after 2026-12-20T00:00:00Z",
            "patchd.toml:11: freeze.from: the freeze has none; write name = \"holidays\", from = \
             2026-12-20T00:00:00Z, until = 2027-01-04T00:00:00Z and reason = \"change freeze\"",
            "patchd.toml:13: freeze.from: it must be a date and time such as 2026-12-20T00:00:00Z, not a number",
        ],
    );
}

#[test]
fn every_mistake_is_told_with_its_line_and_what_to_do() {
    check_mistakes(
        "[scan]\nintreval = \"1h\"\nrefresh = \"yes\"\nmax_list_age = \"soon\"\n\n[stoer]\nurl = 1\n[log]\nlevel = \"inof\"\n",
        &[
            "patchd.toml:2: scan.intreval: there is no key \"intreval\"; did you mean `interval`?",
            "patchd.toml:3: scan.refresh: it must be true or false, not a text",
            "patchd.toml:4: scan.max_list_age: \"soon\" is no duration; write it like 90s, 15m, 1h, 7d or 1h30m",
            "patchd.toml:6: there is no section \"stoer\"; did you mean `store`?",
            "patchd.toml:9: log.level: \"inof\" is no level; did you mean `info`?",
        ],
    );
    check_mistakes(
        "[scan]\n\"a\\nb\" = 1\n",
        &[
            "patchd.toml:2: scan.a\\nb: there is no key \"a\\nb\"; use one of: interval, refresh, max_list_age",
        ],
    );
    check_mistakes(
        "scan = 1\n[window]\nname = \"x\"\n",
        &[
            "patchd.toml:1: scan: it is a section; write it as [scan]",
            "patchd.toml:2: window: write it as [[window]]",
        ],
    );
    check_mistakes(
        "[scan]\ninterval = \"5s\"\n[control]\nchange_users = [\"a\", 1]\nchange_groups = [\"a b\"]\n",
        &[
            "patchd.toml:2: scan.interval: \"5s\" is out of bounds; use 1m to 31d",
            "patchd.toml:4: control.change_users: it must be a list of texts in quotes, not a list",
            "patchd.toml:5: control.change_groups: \"a b\" is no name or number of a user or group",
        ],
    );
}

#[test]
fn a_bad_window_is_told_and_hides_no_other_mistake() {
    check_mistakes(
        "[[window]]\nname = \"a\"\nschedule = \"Sunday 02:00 +3h\"\n\n[[window]]\nschedule = \"Sun 02:00 +3h\"\n\n\
         [[window]]\nname = \"c\"\nschedule = \"Sun 02:00 +3h\"\ncutoff = \"4h\"\n\n[[window]]\nname = \"d\"\n\
         schedule = \"Sun 02:00 +3h Mars/Base\"\n[[window]]\nname = \"e\"\nschedule = \"Sun 02:00 +3h\"\n\
         [[window]]\nname = \"e\"\nschedule = \"Mon 02:00 +3h\"\n",
        &[
            "patchd.toml:3: window.schedule: \"Sunday\" is no day; use Mon Tue Wed Thu Fri Sat Sun, \
             `Mon..Fri`, `Sat,Sun` or `daily`",
            "patchd.toml:5: window.name: the window has none; write name = \"weekly\" and schedule = \
             \"Sun 02:00 +3h UTC\"",
            "patchd.toml:11: window.cutoff: 4h before the end leaves nothing of a window of 3h",
            "patchd.toml:15: window.schedule: the time zone \"Mars/Base\" is not in the tz database",
            "patchd.toml:19: window.name: \"e\" is already the name of the window in line 16; give it another",
        ],
    );
}

#[test]
fn the_schedules_of_systems_manager_are_windows() {
    let settings = read_texts(&[(
        "patchd.toml",
        "[[window]]\nname = \"third\"\nschedule = \"cron(0 2 ? * THU#3 *)\"\ntimezone = \"UTC\"\n\
         duration = \"3h\"\ncutoff = \"1h\"\noffset = 2\nstart = 2026-12-01T00:00:00Z\nend = \"2027-02-01T00:00:00Z\"\n\
         [[window]]\nname = \"rate\"\nschedule = \"rate(7 days)\"\nduration = \"24h\"\nstart = 2027-01-01T00:00:00Z\n",
    )])
    .unwrap();
    let from = "2026-11-01T00:00:00Z".parse().unwrap();
    let opens = |at: usize| -> Vec<_> {
        settings.windows[at].opens_after(from).take(3).map(|opens| opens.start.to_string()).collect()
    };
    assert_eq!(opens(0), ["2026-12-19T02:00:00Z", "2027-01-23T02:00:00Z"]);
    assert_eq!(opens(1), ["2027-01-01T00:00:00Z", "2027-01-08T00:00:00Z", "2027-01-15T00:00:00Z"]);
}

#[test]
fn what_contradicts_a_schedule_is_told_by_its_key() {
    check_mistakes(
        "[[window]]\nname = \"a\"\nschedule = \"Sun 02:00 +3h UTC\"\ntimezone = \"UTC\"\n\
         [[window]]\nname = \"b\"\nschedule = \"Sun 02:00 +3h\"\nduration = \"3h\"\n\
         [[window]]\nname = \"c\"\nschedule = \"Sun 02:00 +3h\"\noffset = 1\n\
         [[window]]\nname = \"d\"\nschedule = \"cron(0 2 ? * SUN *)\"\n\
         [[window]]\nname = \"e\"\nschedule = \"cron(0 2 ? * SUN *)\"\nduration = \"30m\"\n\
         [[window]]\nname = \"f\"\nschedule = \"cron(0 2 ? * SUN *)\"\nduration = \"3h\"\noffset = 7\n\
         [[window]]\nname = \"g\"\nschedule = \"rate(1 day)\"\nduration = \"3h\"\n\
         [[window]]\nname = \"h\"\nschedule = \"cron(0 2 ? 13 SUN *)\"\nduration = \"3h\"\n\
         [[window]]\nname = \"i\"\nschedule = \"rate(1 day)\"\nduration = \"3h\"\nstart = 2027-01-01T00:00:00Z\n\
         end = 2026-01-01T00:00:00Z\n",
        &[
            "patchd.toml:4: window.timezone: the schedule names one itself; write it once",
            "patchd.toml:8: window.duration: the schedule says it itself; write it once",
            "patchd.toml:12: window.offset: only a schedule of the form cron(…) has one",
            "patchd.toml:13: window.duration: the schedule says none; write how long the window lasts, such as 3h",
            "patchd.toml:19: window.duration: the window lasts 30m; it must last from 1 hour to 24 hours",
            "patchd.toml:24: window.offset: 7 days are not allowed; use 1 to 6",
            "patchd.toml:25: window.start: a rate() is counted from it; write it like 2027-01-01T00:00:00Z",
            "patchd.toml:31: window.schedule: month: \"13\" is not allowed; use 1 to 12 or JAN to DEC",
            "patchd.toml:38: window.end: 2026-01-01T00:00:00Z is not after the start, 2027-01-01T00:00:00Z",
        ],
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_line_and_the_rest_is_read() {
    let mistakes = read_texts(&[("a.toml", "[scan]\ninterval = \n[log]\nlevel = \"loud\"\n")]).unwrap_err();
    let lines: Vec<_> = mistakes.list().iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [Some(2), Some(4)], "{mistakes}");
    let twice = read_texts(&[("a.toml", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n")]).unwrap_err();
    assert_eq!(twice.list().first().and_then(|mistake| mistake.line), Some(3), "{twice}");

    let bytes = ConfigFile { name: "b.toml".into(), content: b"[log]\nlevel = \"\xff\"\n".to_vec() };
    let mistakes = read(&[bytes], |_| None).unwrap_err();
    assert!(mistakes.to_string().starts_with("b.toml:2: a byte here is not UTF-8"), "{mistakes}");
}

#[test]
fn hostile_texts_are_refused_in_bounded_depth_and_length() {
    for text in
        ["[".repeat(100_000), format!("a = {}", "[".repeat(100_000)), format!("{} = 1", "a.".repeat(50_000))]
    {
        let mistakes = read_texts(&[("deep", &text)]).unwrap_err();
        assert!(mistakes.list().iter().all(|mistake| mistake.message.len() < 500), "{mistakes}");
    }
}

#[test]
fn a_freeze_recurs_and_an_emergency_lifts_it_by_its_name() {
    let text = "[[freeze]]\nname = \"year\"\nschedule = \"12-20..01-04\"\nreason = \"holidays\"\n\
                [[freeze]]\nname = \"month\"\nschedule = \"cron(0 18 L-1 * ? *)\"\nduration = \"2d\"\nreason = \"books\"\n\
                [[freeze]]\nname = \"weekend\"\nschedule = \"Fri 18:00 +60h\"\nreason = \"rest\"\n\
                until = 2027-03-01T00:00:00Z\n\
                [[emergency]]\nname = \"e\"\nfreezes = [\"year\"]\nby = \"Ada\"\nreason = \"CVE\"\n\
                until = 2026-12-24T00:00:00Z\n";
    let settings = read_texts(&[("patchd.toml", text)]).unwrap();
    let at = |now: &str| {
        settings.frozen(now.parse().unwrap()).map(|freeze| format!("{} {}", freeze.until, freeze.reason))
    };
    assert_eq!(at("2026-12-16T12:00:00Z"), None);
    assert_eq!(at("2026-12-21T12:00:00Z"), None, "lifted");
    let lifted = settings.lifted("2026-12-21T12:00:00Z".parse().unwrap());
    assert_eq!(
        lifted.as_deref(),
        Some("the freeze \"year\" is lifted until 2026-12-24T00:00:00Z by Ada: CVE")
    );
    assert_eq!(settings.lifted("2026-12-16T12:00:00Z".parse().unwrap()), None);
    assert_eq!(at("2026-12-24T00:00:00Z").as_deref(), Some("2027-01-05T00:00:00Z holidays (\"year\")"));
    assert_eq!(at("2027-01-04T23:59:59Z").as_deref(), Some("2027-01-05T00:00:00Z holidays (\"year\")"));
    assert_eq!(at("2027-01-05T00:00:00Z"), None);
    assert_eq!(at("2027-02-27T18:00:00Z").as_deref(), Some("2027-03-01T18:00:00Z books (\"month\")"));
    assert_eq!(at("2027-01-08T18:00:00Z").as_deref(), Some("2027-01-11T06:00:00Z rest (\"weekend\")"));
    assert_eq!(at("2027-03-06T12:00:00Z"), None, "the weekends are over in March");
}

#[test]
fn mistakes_in_freezes_and_emergencies_are_told() {
    check_mistakes(
        "[[freeze]]\nname = \"a\"\nschedule = \"13-20..01-04\"\nreason = \"x\"\n\
         [[freeze]]\nname = \"b\"\nschedule = \"12-20..01-04\"\nduration = \"2d\"\nreason = \"x\"\n\
         [[freeze]]\nname = \"c\"\nschedule = \"cron(0 2 ? * SUN *)\"\nduration = \"32d\"\nreason = \"x\"\n\
         [[freeze]]\nname = \"d\"\nschedule = \"cron(0 2 ? * SUN *)\"\nreason = \"x\"\n\
         [[freeze]]\nname = \"e\"\nfrom = 2026-12-20T00:00:00Z\nuntil = 2026-12-21T00:00:00Z\nreason = \"x\"\n\
         duration = \"2d\"\n\
         [[emergency]]\nname = \"f\"\nfreezes = [\"nobody\"]\nby = \"Ada\"\nreason = \"x\"\nuntil = 2026-12-24T00:00:00Z\n\
         [[emergency]]\nname = \"g\"\nfreezes = []\nby = \"\"\nreason = \"x\"\nuntil = \"soon\"\n",
        &[
            "patchd.toml:3: freeze.schedule: \"13-20\" is no day of a year; write month and day, such as 12-20",
            "patchd.toml:8: freeze.duration: a freeze between two days lasts as long as they say",
            "patchd.toml:13: freeze.duration: a freeze of 768h is not allowed; use 1 minute to 31 days",
            "patchd.toml:17: freeze.duration: the schedule says none; write how long the freeze lasts, such as 2d",
            "patchd.toml:24: freeze.duration: only a freeze with a schedule has one",
            "patchd.toml:27: emergency.freezes: there is no freeze \"nobody\"",
            "patchd.toml:33: emergency.freezes: it names no freeze",
            "patchd.toml:34: emergency.by: a person has 1 to 100 characters on one line",
            "patchd.toml:36: emergency.until: \"soon\" is no date and time with an offset; write it like \
             2026-12-20T00:00:00Z",
        ],
    );
}
