//! Every limit and contradiction, with the message that its writer gets.

use super::*;

/// A baseline for an operating system, with more at its top level.
fn with(system: &str, more: &str) -> String {
    format!("{{\"Name\": \"test\", \"OperatingSystem\": \"{system}\",\n{more}}}")
}

/// A baseline with one rule for an operating system.
fn with_rule(system: &str, rule: &str) -> String {
    with(system, &format!("\"ApprovalRules\": {{\"PatchRules\": [{rule}]}}"))
}

/// A rule of one filter.
fn filtered(filter: &str) -> String {
    format!("{{\"PatchFilterGroup\": {{\"PatchFilters\": [{filter}]}}, \"ApproveAfterDays\": 0}}")
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(told("baseline.json", text), expected, "{text}");
}

#[test]
fn a_baseline_needs_a_name_and_an_operating_system_that_runs_linux() {
    check(
        "{\"Name\": \"test\"}",
        &[
            "1: $: there is no OperatingSystem, which Systems Manager takes for WINDOWS; add it, say \"DEBIAN\"",
        ],
    );
    check(
        "{\"OperatingSystem\": \"DEBIAN\", \"ApprovedPatches\": [\"a\"]}",
        &["1: $: there is no Name; a baseline needs one"],
    );
    check(
        &with("WINDOWS", "\"ApprovedPatches\": 7"),
        &["1: $.OperatingSystem: this is a baseline for WINDOWS, and patchd patches Linux hosts alone"],
    );
    check(
        &with("macos", "\"Nonsense\": 7"),
        &["1: $.OperatingSystem: this is a baseline for MACOS, and patchd patches Linux hosts alone"],
    );
    check(
        &with("Debain", "\"ApprovedPatches\": []"),
        &["1: $.OperatingSystem: \"Debain\" is not known; did you mean `DEBIAN`?"],
    );
    check("[7]", &["1: $[0]: it must be a table of keys and values, not a number"]);
}

#[test]
fn a_name_keeps_to_its_limits() {
    let named = |name: &str| {
        format!("{{\"Name\": \"{name}\", \"OperatingSystem\": \"DEBIAN\", \"ApprovedPatches\": [\"a\"]}}")
    };
    check(&named("abc"), &[]);
    check(&named(&"a".repeat(128)), &[]);
    check(&named("ab"), &["1: $.Name: it has 2 characters; 3 to 128 are allowed"]);
    check(&named(&"a".repeat(129)), &["1: $.Name: it has 129 characters; 3 to 128 are allowed"]);
    check(
        &named("web servers"),
        &["1: $.Name: it has the character ' '; letters, digits and _ - . are allowed"],
    );
    check(
        &with("DEBIAN", &format!("\"ApprovedPatches\": [\"a\"], \"Description\": \"{}\"", "d".repeat(1025))),
        &["2: $.Description: it has 1025 characters; at most 1024 are allowed"],
    );
}

#[test]
fn unknown_keys_are_told_with_the_nearest_one() {
    check(
        &with(
            "DEBIAN",
            "\"ApprovedPatches\": [\"a\"],\n\"RejectedPatchs\": [],\n\"odd key\": 1,\n\"Name\": \"x\"",
        ),
        &[
            "3: $.RejectedPatchs: there is no key \"RejectedPatchs\" here; did you mean `RejectedPatches`?",
            "4: $[\"odd key\"]: there is no key \"odd key\" here; use one of: OperatingSystem, Name, BaselineId, \
             DelaysByFirstSeen, GlobalFilters, ApprovalRules, ApprovedPatches, ApprovedPatchesComplianceLevel, \
             ApprovedPatchesEnableNonSecurity, RejectedPatches, RejectedPatchesAction, Description, PatchGroups, \
             CreatedDate, ModifiedDate, Sources, AvailableSecurityUpdatesComplianceStatus, ClientToken, Tags, Replace, \
             ResponseMetadata",
            "5: $.Name: the key is there already, further up; keep one of them",
        ],
    );
    check(
        &with_rule(
            "DEBIAN",
            "{\"PatchFilterGroup\": {\"PatchFilters\": [{\"Key\": \"SECTION\", \"Value\": \"x\", \"Values\": [\"x\"]}]}, \"ApproveAfterDay\": 7, \"ApproveAfterDays\": 0}",
        ),
        &[
            "2: $.ApprovalRules.PatchRules[0].ApproveAfterDay: there is no key \"ApproveAfterDay\" here; did you mean \
             `ApproveAfterDays`?",
            "2: $.ApprovalRules.PatchRules[0].PatchFilterGroup.PatchFilters[0].Value: there is no key \"Value\" here; \
             did you mean `Values`?",
        ],
    );
}

#[test]
fn a_rule_has_one_delay_within_its_limits() {
    let rule = |delay: &str| {
        with_rule("CENTOS", &format!("{{\"PatchFilterGroup\": {{\"PatchFilters\": []}}{delay}}}"))
    };
    for delay in [
        ", \"ApproveAfterDays\": 0",
        ", \"ApproveAfterDays\": 360",
        ", \"ApproveAfterDays\": \"7\"",
        ", \"ApproveUntilDate\": \"2024-02-29\"",
        ", \"ApproveUntilDate\": \"2026-11-30\", \"ApproveAfterDays\": null",
    ] {
        check(&rule(delay), &[]);
    }
    let at = "2: $.ApprovalRules.PatchRules[0]";
    check(&rule(""), &[&format!("{at}: a rule needs ApproveAfterDays or ApproveUntilDate")]);
    check(
        &rule(", \"ApproveAfterDays\": 1, \"ApproveUntilDate\": \"2026-11-30\""),
        &[&format!(
            "{at}.ApproveUntilDate: ApproveAfterDays is there too, and only one of them can hold; keep one"
        )],
    );
    check(
        &rule(", \"ApproveAfterDays\": 999, \"ApproveUntilDate\": \"2026-11-30\""),
        &[
            &format!("{at}.ApproveAfterDays: 999 is no number of days; whole numbers from 0 to 360 are"),
            &format!(
                "{at}.ApproveUntilDate: ApproveAfterDays is there too, and only one of them can hold; keep one"
            ),
        ],
    );
    for days in ["361", "-1", "1.5", "1e1", "\"seven\"", "99999999999999999999"] {
        let bare = days.trim_matches('"');
        let message =
            format!("{at}.ApproveAfterDays: {bare} is no number of days; whole numbers from 0 to 360 are");
        check(&rule(&format!(", \"ApproveAfterDays\": {days}")), &[&message]);
    }
    check(
        &rule(", \"ApproveAfterDays\": true"),
        &[&format!("{at}.ApproveAfterDays: it must be a number of days, not true or false")],
    );
    for date in ["2026-1-30", "30-11-2026", "2026-02-30", "2026-11-30T00:00:00Z", "tomorrow", ""] {
        let message = format!("{at}.ApproveUntilDate: \"{date}\" is no day; write it like 2026-11-30");
        check(&rule(&format!(", \"ApproveUntilDate\": \"{date}\"")), &[&message]);
    }
    check(
        &with_rule("CENTOS", "{\"ApproveAfterDays\": 7}"),
        &[&format!("{at}: a rule needs PatchFilterGroup")],
    );
}

#[test]
fn there_are_ten_rules_and_four_filters_at_most() {
    let rule = "{\"PatchFilterGroup\": {\"PatchFilters\": []}, \"ApproveAfterDays\": 0}";
    check(&with_rule("CENTOS", &[rule; 10].join(",")), &[]);
    check(
        &with_rule("CENTOS", &[rule; 11].join(",")),
        &["2: $.ApprovalRules.PatchRules: there are 11 rules; 10 is the most"],
    );
    let filter = "{\"Key\": \"PRODUCT\", \"Values\": [\"*\"]}";
    check(&with_rule("CENTOS", &filtered(&[filter; 4].join(","))), &[]);
    check(
        &with_rule("CENTOS", &filtered(&[filter; 5].join(","))),
        &[
            "2: $.ApprovalRules.PatchRules[0].PatchFilterGroup.PatchFilters: there are 5 filters; 4 is the most",
        ],
    );
    let global = format!(
        "\"ApprovedPatches\": [\"a\"], \"GlobalFilters\": {{\"PatchFilters\": [{}]}}",
        [filter; 5].join(",")
    );
    check(&with("CENTOS", &global), &["2: $.GlobalFilters.PatchFilters: there are 5 filters; 4 is the most"]);
}

#[test]
fn filters_have_keys_that_work_and_values_that_are_documented() {
    let at = "2: $.ApprovalRules.PatchRules[0].PatchFilterGroup.PatchFilters[0]";
    let filter = |system: &str, key: &str, values: &str| {
        with_rule(system, &filtered(&format!("{{\"Key\": \"{key}\", \"Values\": {values}}}")))
    };
    check(&filter("DEBIAN", "section", "[\"anything\", \"*\"]"), &[]);
    check(&filter("DEBIAN", "PRIORITY", "[\"required\", \"EXTRA\"]"), &[]);
    check(&filter("SUSE", "CLASSIFICATION", "[\"Yast\"]"), &[]);
    check(&filter("AMAZON_LINUX_2023", "SEVERITY", "[\"Medium\", \"None\"]"), &[]);
    check(
        &filter("DEBIAN", "SEVERITY", "[\"Critical\"]"),
        &[&format!(
            "{at}.Key: the key SEVERITY does not work on DEBIAN; use one of: PRODUCT, PRIORITY, SECTION"
        )],
    );
    check(
        &filter("SUSE", "MSRC_SEVERITY", "[\"Critical\"]"),
        &[&format!(
            "{at}.Key: the key MSRC_SEVERITY does not work on SUSE; use one of: PRODUCT, CLASSIFICATION, SEVERITY"
        )],
    );
    check(
        &filter("SUSE", "SEVERTY", "[\"Low\"]"),
        &[&format!("{at}.Key: \"SEVERTY\" is not known; did you mean `SEVERITY`?")],
    );
    check(
        &filter("ROCKY_LINUX", "SEVERITY", "[\"Critical\", \"Crital\"]"),
        &[&format!("{at}.Values[1]: \"Crital\" is no SEVERITY of ROCKY_LINUX; did you mean `Critical`?")],
    );
    check(
        &filter("ROCKY_LINUX", "CLASSIFICATION", "[\"Yast\"]"),
        &[&format!(
            "{at}.Values[0]: \"Yast\" is no CLASSIFICATION of ROCKY_LINUX; use one of: Security, Bugfix, Enhancement, Recommended, Newpackage"
        )],
    );
    check(
        &filter("DEBIAN", "SECTION", "[]"),
        &[&format!("{at}.Values: there must be a value; \"*\" stands for every one")],
    );
    check(
        &filter("DEBIAN", "SECTION", &format!("[{}]", vec!["\"a\""; 21].join(","))),
        &[&format!("{at}.Values: there are 21 values; 20 is the most")],
    );
    check(
        &filter("DEBIAN", "SECTION", &format!("[\"\", \"{}\", 7]", "a".repeat(65))),
        &[
            &format!("{at}.Values[0]: it has 0 characters; 1 to 64 are allowed"),
            &format!("{at}.Values[1]: it has 65 characters; 1 to 64 are allowed"),
            &format!("{at}.Values[2]: it must be a text in quotes, not a number"),
        ],
    );
    check(&filter("DEBIAN", "SECTION", "\"a\""), &[&format!("{at}.Values: it must be a list, not a text")]);
    check(
        &with_rule("DEBIAN", &filtered("{}")),
        &[&format!("{at}: a filter needs Key"), &format!("{at}: a filter needs Values")],
    );
}

#[test]
fn lists_have_fifty_entries_of_a_hundred_characters_and_no_contradiction() {
    let list = |name: &str, entries: &str| with("DEBIAN", &format!("\"{name}\": [{entries}]"));
    let many = |number: usize| (0..number).map(|at| format!("\"p{at}\"")).collect::<Vec<_>>().join(",");
    check(&list("ApprovedPatches", &many(50)), &[]);
    check(
        &list("ApprovedPatches", &many(51)),
        &["2: $.ApprovedPatches: there are 51 entries; 50 is the most"],
    );
    check(
        &list("ApprovedPatches", &format!("\"{}\", \"\", \"a b\"", "a".repeat(101))),
        &[
            &format!(
                "2: $.ApprovedPatches[0]: \"{}\" is no entry of this list: it is longer than 100 characters",
                "a".repeat(64)
            ),
            "2: $.ApprovedPatches[1]: \"\" is no entry of this list: it is empty",
            "2: $.ApprovedPatches[2]: \"a b\" is no entry of this list: it has the character ' '",
        ],
    );
    check(
        &with(
            "DEBIAN",
            "\"ApprovedPatches\": [\"curl\", \"apt*\", \"curl\"],\n\"RejectedPatches\": [\"CURL\"]",
        ),
        &[
            "3: $.RejectedPatches[0]: \"CURL\" is approved by $.ApprovedPatches[0] and rejected here; keep one",
        ],
    );
    check(
        &with("SUSE", "\"ApprovedPatches\": [\"curl < \"]"),
        &[
            "2: $.ApprovedPatches[0]: \"curl < \" is no entry of this list: \"<\" is no version to compare with; write it like `curl < 8.0-1`",
        ],
    );
}

#[test]
fn words_of_closed_sets_are_suggested() {
    check(
        &with(
            "DEBIAN",
            "\"ApprovedPatches\": [\"a\"],\n\"ApprovedPatchesComplianceLevel\": \"critcal\",\n\"RejectedPatchesAction\": \"DENY\",\n\"ApprovedPatchesEnableNonSecurity\": \"true\"",
        ),
        &[
            "3: $.ApprovedPatchesComplianceLevel: \"critcal\" is not known; did you mean `CRITICAL`?",
            "4: $.RejectedPatchesAction: \"DENY\" is not known; use one of: ALLOW_AS_DEPENDENCY, BLOCK",
            "5: $.ApprovedPatchesEnableNonSecurity: it must be true or false, not a text",
        ],
    );
}

#[test]
fn what_is_valid_and_without_effect_is_noted() {
    let rule = |delay: &str| {
        with_rule("UBUNTU", &format!("{{\"PatchFilterGroup\": {{\"PatchFilters\": []}}, {delay}}}"))
    };
    let ignored = "the archives of UBUNTU have no dates of release, so it is ignored, as Systems Manager does; with \
                   DelaysByFirstSeen = true it counts from the day on which the host first saw a version";
    for (key, value) in [("ApproveAfterDays", "7"), ("ApproveUntilDate", "\"2026-11-30\"")] {
        check(
            &rule(&format!("\"{key}\": {value}")),
            &[&format!("note 2: $.ApprovalRules.PatchRules[0].{key}: {ignored}")],
        );
        let by_first_seen =
            rule(&format!("\"{key}\": {value}")).replace("\"Name\"", "\"DelaysByFirstSeen\": true, \"Name\"");
        check(&by_first_seen, &[]);
    }
    check(&rule("\"ApproveAfterDays\": 0"), &[]);
    check(
        &with("DEBIAN", "\"ApprovedPatches\": [\"CVE-2026-1234\", \"curl\", \"curl\"]"),
        &[
            "note 2: $.ApprovedPatches[0]: \"CVE-2026-1234\" matches nothing: the archives of DEBIAN name no such ids; name packages",
            "note 2: $.ApprovedPatches[2]: \"curl\" is there already, further up",
        ],
    );
    check(
        &with_rule(
            "DEBIAN",
            &filtered("{\"Key\": \"PRODUCT\", \"Values\": [\"debian12\", \"Ubuntu22.04\"]}"),
        ),
        &[
            "note 2: $.ApprovalRules.PatchRules[0].PatchFilterGroup.PatchFilters[0].Values[1]: \"Ubuntu22.04\" is no product of DEBIAN, so it matches none of its hosts; theirs begin with Debian",
        ],
    );
    check(
        &with(
            "SUSE",
            "\"ApprovedPatches\": [\"a\"],\n\"AvailableSecurityUpdatesComplianceStatus\": \"COMPLIANT\",\n\"CreatedDate\": \"yesterday\",\n\"DelaysByFirstSeen\": true,\n\"Sources\": [{\"Name\": \"mine\", \"Products\": [\"*\"], \"Configuration\": \"x\"}]",
        ),
        &[
            "note 3: $.AvailableSecurityUpdatesComplianceStatus: it has a meaning on WINDOWS alone",
            "note 4: $.CreatedDate: it is no date that can be read, and is ignored",
            "note 5: $.DelaysByFirstSeen: the packages of SUSE have dates of release",
            "note 6: $.Sources: patchd uses the sources that the host has and changes none of them; set these up on the host",
        ],
    );
    check(
        &with_rule(
            "CENTOS",
            "{\"PatchFilterGroup\": {\"PatchFilters\": [{\"Key\": \"SEVERITY\", \"Values\": [\"Low\"]}]}, \"ApproveAfterDays\": 0, \"EnableNonSecurity\": true}",
        ),
        &[
            "note 2: $.ApprovalRules.PatchRules[0].EnableNonSecurity: it widens no filter: what no advisory names has no SEVERITY and is left out all the same",
        ],
    );
    check(
        &with("DEBIAN", "\"RejectedPatches\": []"),
        &["note 1: $: no rule and no list approves anything: no update will be asked for"],
    );
}

#[test]
fn the_answers_to_other_questions_are_told_from_baselines() {
    check(
        "{\"BaselineId\": \"pb-1\", \"OperatingSystem\": \"DEBIAN\"}",
        &[
            "1: $: this names a baseline and does not hold it; save what `aws ssm get-patch-baseline --baseline-id` prints",
        ],
    );
    check(
        "{\"BaselineIdentities\": []}",
        &["1: $: this is a list of baselines and holds none; save what `aws ssm get-patch-baseline` prints"],
    );
    check(
        "{\"SnapshotDownloadUrl\": \"https://example.org\"}",
        &["1: $: this says where a snapshot is and holds none; save what its SnapshotDownloadUrl gives"],
    );
}

#[test]
fn no_file_takes_the_id_of_a_predefined_baseline() {
    let builtin = read_ok(
        "b.json",
        &serde_json::to_string(&BaselineFile::of(Baseline::builtin(OperatingSystem::Debian)).to_json())
            .unwrap(),
    );
    assert_eq!(builtin.baseline, Baseline::builtin(OperatingSystem::Debian));
    check(
        &with("DEBIAN", "\"ApprovedPatches\": [\"a\"], \"BaselineId\": \"builtin:debian\""),
        &[
            "2: $.BaselineId: builtin:debian is a predefined baseline, and this one says something else; give it an id and a name of its own",
        ],
    );
}

#[test]
fn our_own_form_has_its_own_words_and_lines() {
    let text = "name = \"x\"\noperating_system = \"debian\"\naproved = []\n\n[[rule]]\nseverity = [\"Critical\"]\n\
                approve_after_days = 1\napprove_until_date = 2026-11-30\n\n[[rule]]\npriority = [\"Importent\"]\n";
    assert_eq!(
        told("b.toml", text),
        [
            "1: $.name: it has 1 characters; 3 to 128 are allowed",
            "3: $.aproved: there is no key \"aproved\" here; did you mean `approved`?",
            "6: $.rule[0].severity: the key severity does not work on DEBIAN; use one of: PRODUCT, PRIORITY, SECTION",
            "8: $.rule[0].approve_until_date: approve_after_days is there too, and only one of them can hold; keep one",
            "10: $.rule[1]: a rule needs approve_after_days or approve_until_date",
            "11: $.rule[1].priority[0]: \"Importent\" is no PRIORITY of DEBIAN; did you mean `Important`?",
        ],
    );
    assert_eq!(
        told("b.toml", "a = \n b = 1"),
        ["1: this is not TOML: string values must be quoted, expected literal string"]
    );
}

#[test]
fn sizes_and_mistakes_are_bounded() {
    let large = vec![b' '; MAX_BASELINE + 1];
    assert_eq!(
        read("b", &large).unwrap_err().to_string(),
        "b:1: the file is bigger than 262144 bytes, which no baseline is"
    );
    let keys: Vec<_> = (0..20_000).map(|at| format!("\"k{at}\":1")).collect();
    let mistakes = told("b.json", &with("DEBIAN", &keys.join(",")));
    assert_eq!(mistakes.len(), MAX_MISTAKES + 1);
    assert!(mistakes.iter().any(|told| told.contains("there are more mistakes than are listed")));
}
