//! What is written is read again as the same baseline; no bytes are too odd to be read.

use patchd_core::baseline::filter::{Filter, FilterKey};
use patchd_core::baseline::pattern::Pattern;
use patchd_core::baseline::system::Packaging;
use patchd_core::baseline::{ApprovedList, ComplianceLevel, Delay, RejectedAction, RejectedList, Rule};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::baseline::vocabulary::words;

#[track_caller]
fn check_both_ways(file: &BaselineFile) {
    let json = serde_json::to_string_pretty(&file.to_json()).unwrap();
    let toml = file.to_toml();
    for (name, text) in [("b.json", &json), ("b.toml", &toml), ("b", &json), ("b", &toml)] {
        let again = read_ok(name, text);
        assert_eq!(again.baseline, file.baseline, "{text}");
        assert_eq!((&again.description, &again.patch_groups), (&file.description, &file.patch_groups));
    }
}

#[test]
fn every_predefined_baseline_is_read_as_it_is_written() {
    for system in OperatingSystem::ALL {
        check_both_ways(&BaselineFile::of(Baseline::builtin(system)));
    }
}

#[test]
fn our_own_form_reads_well() {
    let mut file = BaselineFile::of(Baseline::builtin(OperatingSystem::Suse));
    file.description = Some("a \"quoted\" word".into());
    let expected = r#"id = "builtin:suse"
name = "AWS-SuseDefaultPatchBaseline"
operating_system = "SUSE"
description = 'a "quoted" word'

[[global_filter]]
key = "PRODUCT"
values = ["*"]

[[rule]]
classification = ["Security"]
severity = ["Critical", "Important"]
approve_after_days = 7
"#;
    assert_eq!(file.to_toml(), expected);
}

fn any_filter(packaging: Packaging) -> impl Strategy<Value = Filter> {
    let keys: Vec<_> = FilterKey::ALL.into_iter().filter(|key| key.works_on(packaging)).collect();
    select(keys).prop_flat_map(move |key| {
        let value = match words(key, packaging) {
            Some(words) => select(words.to_vec()).prop_map(str::to_owned).boxed(),
            None => prop_oneof![Just("*".to_owned()), "[A-Za-z0-9.\"\\\\ é\n]{1,64}"].boxed(),
        };
        prop::collection::vec(value, 1..5).prop_map(move |values| Filter { key, values })
    })
}

fn any_level() -> impl Strategy<Value = ComplianceLevel> {
    select(ComplianceLevel::ALL.to_vec())
}

fn any_rule(packaging: Packaging) -> impl Strategy<Value = Rule> {
    let delay = prop_oneof![
        (0..=360u16).prop_map(Delay::AfterDays),
        (1i16..=9999, 1i8..=12, 1i8..=28)
            .prop_map(|(year, month, day)| Delay::UntilDate(jiff::civil::date(year, month, day))),
    ];
    (prop::collection::vec(any_filter(packaging), 0..=4), any_level(), delay, any::<bool>()).prop_map(
        |(filters, level, delay, includes_non_security)| Rule {
            filters,
            level,
            delay,
            includes_non_security,
        },
    )
}

fn any_patterns(prefix: &'static str, packaging: Packaging) -> impl Strategy<Value = Vec<Pattern>> {
    let text = prop_oneof!["[a-z0-9+.:*?-]{1,60}", Just("CVE-2026-12345".into()), Just("1234567".into())];
    let pattern = text.prop_map(move |text: String| {
        // What begins differently is not on both lists.
        let text =
            if text.starts_with(['C', '1']) && prefix == "a" { text } else { format!("{prefix}{text}") };
        Pattern::parse(&text, packaging).unwrap()
    });
    prop::collection::vec(pattern, 0..6)
}

fn any_file() -> impl Strategy<Value = BaselineFile> {
    select(OperatingSystem::ALL.to_vec()).prop_flat_map(|system| {
        let packaging = system.packaging();
        let rules = prop::collection::vec(any_rule(packaging), 0..=10);
        let filters = prop::collection::vec(any_filter(packaging), 0..=4);
        let lists = (
            any_patterns("a", packaging),
            any_patterns("r", packaging),
            any_level(),
            any::<(bool, bool, bool)>(),
        );
        let texts = (
            "[a-zA-Z0-9_:/.-]{1,128}",
            "[a-zA-Z0-9_.-]{3,128}",
            prop::option::of("\\PC{1,200}"),
            prop::collection::vec("\\PC{1,64}", 0..3),
        );
        (rules, filters, lists, texts).prop_map(move |(rules, global_filters, lists, texts)| {
            let (approved, rejected, level, (includes_non_security, blocks, delays_by_first_seen)) = lists;
            let (id, name, description, patch_groups) = texts;
            let action = if blocks { RejectedAction::Block } else { RejectedAction::AllowAsDependency };
            let baseline = Baseline {
                id,
                name,
                system,
                global_filters,
                rules,
                approved: ApprovedList { patterns: approved, level, includes_non_security },
                rejected: RejectedList { patterns: rejected, action },
                delays_by_first_seen,
            };
            BaselineFile { description, patch_groups, ..BaselineFile::of(baseline) }
        })
    })
}

proptest! {
    #[test]
    fn any_baseline_is_read_as_it_is_written(file in any_file()) {
        check_both_ways(&file);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..300), name in "(a|a.json|a.toml)") {
        let _ = read_all(&name, &bytes);
    }

    /// A written baseline with a cut or a change somewhere.
    #[test]
    fn no_damage_is_too_odd(
        file in any_file(), is_toml in any::<bool>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let text = if is_toml { file.to_toml() } else { serde_json::to_string(&file.to_json()).unwrap() };
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Err(mistakes) = read_all("b", &bytes) {
            prop_assert!(!mistakes.list().is_empty());
        }
    }
}
