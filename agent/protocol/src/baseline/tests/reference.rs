//! Our limits, words and predefined baselines against the model of the API and the tables of its guide, where these lie
//! beside the repository.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use patchd_core::baseline::filter::FilterKey;
use patchd_core::baseline::pattern::MAX_PATTERN;
use patchd_core::baseline::{ComplianceLevel, RejectedAction};
use serde_json::Value;

use super::*;
use crate::baseline::text::{self, Limit};
use crate::baseline::{document, filters, rules, vocabulary};

fn data(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/aws")).join(name);
    let content = std::fs::read(&path).ok();
    if content.is_none() {
        println!("left out: there is no {}", path.display());
    }
    content
}

#[test]
fn the_limits_are_those_of_the_api() {
    let Some(packed) = data("ssm-service-2.json.gz") else { return };
    let mut model = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut model).unwrap();
    let model: Value = serde_json::from_slice(&model).unwrap();
    let shape = |name: &str| &model["shapes"][name];
    let most = |name: &str| usize::try_from(shape(name)["max"].as_u64().unwrap()).unwrap();
    assert_eq!(most("PatchRuleList"), rules::MOST_RULES);
    assert_eq!(most("ApproveAfterDays"), usize::from(rules::MOST_DAYS));
    assert_eq!(most("PatchFilterList"), filters::MOST_FILTERS);
    assert_eq!(most("PatchFilterValueList"), filters::MOST_VALUES);
    assert_eq!(most("PatchIdList"), document::MOST_LISTED);
    assert_eq!(most("PatchId"), MAX_PATTERN);
    assert_eq!(most("PatchSourceList"), document::MOST_SOURCES);
    let limits = |limit: Limit| (limit.least, limit.most);
    let bounds = |name: &str| (usize::try_from(shape(name)["min"].as_u64().unwrap()).unwrap(), most(name));
    assert_eq!(bounds("BaselineName"), limits(text::NAME));
    assert_eq!(bounds("PatchFilterValue"), limits(text::FILTER_VALUE));
    assert_eq!(bounds("PatchGroup"), limits(text::PATCH_GROUP));
    assert_eq!(bounds("PatchSourceProduct"), limits(text::SOURCE_PRODUCT));
    assert_eq!(bounds("PatchSourceConfiguration"), limits(text::SOURCE_CONFIGURATION));
    assert_eq!(most("BaselineDescription"), text::DESCRIPTION.most);
    assert_eq!(most("BaselineId"), text::ID.most);

    let words = |name: &str| -> BTreeSet<&str> {
        shape(name)["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
    };
    assert_eq!(words("PatchFilterKey"), BTreeSet::from(vocabulary::API_KEYS));
    assert!(FilterKey::ALL.iter().all(|key| words("PatchFilterKey").contains(key.as_str())));
    assert_eq!(
        words("PatchComplianceLevel"),
        ComplianceLevel::ALL.iter().map(|level| level.as_str()).collect()
    );
    assert_eq!(words("PatchAction"), RejectedAction::ALL.iter().map(|action| action.as_str()).collect());
    let systems = OperatingSystem::ALL.iter().map(|system| system.as_str());
    assert_eq!(words("OperatingSystem"), systems.chain(vocabulary::OTHER_SYSTEMS).collect());
}

/// The keys that the API's shapes have are the keys that the reader knows: none is refused.
#[test]
fn every_key_of_the_api_is_known() {
    let Some(packed) = data("ssm-service-2.json.gz") else { return };
    let mut model = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut model).unwrap();
    let model: Value = serde_json::from_slice(&model).unwrap();
    for name in [
        "CreatePatchBaselineRequest",
        "UpdatePatchBaselineRequest",
        "GetPatchBaselineResult",
        "BaselineOverride",
    ] {
        for key in model["shapes"][name]["members"].as_object().unwrap().keys() {
            let text = format!("{{\"Name\": \"test\", \"OperatingSystem\": \"DEBIAN\", \"{key}\": null}}");
            let unknown = told("b.json", &text).into_iter().find(|told| told.contains("there is no key"));
            assert_eq!(unknown, None, "{name}");
        }
    }
}

/// The guide quotes the words that each predefined baseline looks for, and says how long it waits.
#[test]
fn predefined_baselines_say_what_the_guide_says() {
    let Some(table) = data("predefined-baselines.tsv") else { return };
    let table = String::from_utf8(table).unwrap();
    let mut compared = 0;
    for system in OperatingSystem::ALL {
        let baseline = Baseline::builtin(system);
        let guide = baseline.name.replace("AWS-RaspbianDefault", "AWS-DefaultRaspbian");
        let row = table.lines().map(|line| line.split('\t').collect::<Vec<_>>()).find(|row| row[0] == guide);
        let Some(text) = row.map(|row| row[2].to_owned()) else {
            assert_eq!(system, OperatingSystem::AlmaLinux, "{guide}");
            continue;
        };
        let mut quoted: BTreeSet<_> = text
            .split('"')
            .skip(1)
            .step_by(2)
            .map(|word| word.trim_end_matches([',', '.']).to_owned())
            .collect();
        if system == OperatingSystem::OracleLinux {
            // The baseline itself has more than its description tells.
            quoted.extend(["Critical", "Enhancement"].map(str::to_owned));
        }
        let values = baseline.rules.iter().flat_map(|rule| &rule.filters).flat_map(|filter| &filter.values);
        assert_eq!(values.filter(|value| *value != "*").cloned().collect::<BTreeSet<_>>(), quoted, "{guide}");
        let includes_others = baseline.rules.iter().any(|rule| rule.includes_non_security);
        assert_eq!(includes_others, text.contains("including nonsecurity"), "{guide}");
        let notes =
            read_ok("b.json", &serde_json::to_string(&BaselineFile::of(baseline).to_json()).unwrap()).notes;
        assert_eq!(
            text.starts_with("Immediately"),
            notes.iter().any(|note| note.message.contains("it is ignored")),
            "{guide}"
        );
        compared += 1;
    }
    assert_eq!(compared, OperatingSystem::ALL.len() - 1);
}
