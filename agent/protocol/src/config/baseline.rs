//! The settings of which baseline a host is judged by: `[baseline]` and `[[patch_group]]`, with their judging.
//!
//! The baseline itself is read elsewhere. Which group a host is in is `agent.patch_group`, or its instance's tag.

use std::fmt;
use std::path::PathBuf;

use patchd_core::baseline::Baseline;
use patchd_core::baseline::system::OperatingSystem;

use super::fragment::PatchGroupFragment;
use super::input::Input;
use super::settings::{Judge, check_account_id, check_region};
use crate::store_url::{StoreUrl, StoreUrlError};

/// Where a host's own baseline is looked for, below its root. Only one of them may be there.
pub const DEFAULT_FILES: [&str; 2] = ["/etc/patchd/baseline.json", "/etc/patchd/baseline.toml"];

/// The longest name of a patch group, in characters, as in the Systems Manager API.
const MAX_GROUP: usize = 256;

/// Where a baseline comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselineSource {
    /// One of `DEFAULT_FILES` where it is there, else the predefined one of the host's operating system.
    Default,
    /// The predefined one of this operating system.
    Builtin(OperatingSystem),
    /// Absolute.
    File(PathBuf),
    S3 {
        bucket: String,
        key: String,
    },
}

impl fmt::Display for BaselineSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str(""),
            Self::Builtin(system) => f.write_str(&Baseline::builtin(*system).id),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

/// A group of hosts that has a baseline of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchGroup {
    pub name: String,
    pub source: BaselineSource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineSettings {
    /// What counts for hosts of no group, or of one that has no baseline here. Default: see `BaselineSource::Default`.
    pub source: BaselineSource,
    /// A list of patches that applies go by in place of what the baseline approves: a file or an object in S3. Default:
    /// none.
    pub install_override_list: Option<BaselineSource>,
    /// The region of the bucket that it is in. Default: the store's.
    pub region: Option<String>,
    /// The account that must own that bucket; a read from somebody else's bucket of that name fails.
    pub expected_bucket_owner: Option<String>,
    pub groups: Vec<PatchGroup>,
}

impl Default for BaselineSettings {
    fn default() -> Self {
        Self {
            source: BaselineSource::Default,
            install_override_list: None,
            region: None,
            expected_bucket_owner: None,
            groups: Vec::new(),
        }
    }
}

impl BaselineSettings {
    /// The source for a host of that group. Names of groups are compared as they are: case counts, as in AWS.
    pub fn of_group(&self, group: Option<&str>) -> &BaselineSource {
        let found = self.groups.iter().find(|known| Some(known.name.as_str()) == group);
        found.map_or(&self.source, |known| &known.source)
    }
}

impl Judge<'_> {
    pub(super) fn baseline(&mut self, input: &Input) -> BaselineSettings {
        let said = &input.sections;
        let source = said.baseline_source.clone();
        BaselineSettings {
            source: self
                .or_default("baseline.source", source, BaselineSource::Default, |text| parse_source(text)),
            install_override_list: self.or_default(
                "baseline.install_override_list",
                said.baseline_install_override_list.clone(),
                None,
                |text| match parse_source(text)? {
                    BaselineSource::Default => Ok(None),
                    BaselineSource::Builtin(_) => {
                        Err(format!("{text:?} is a baseline, and no list of patches"))
                    }
                    source @ (BaselineSource::File(_) | BaselineSource::S3 { .. }) => Ok(Some(source)),
                },
            ),
            region: self.optional("baseline.region", said.baseline_region.clone(), check_region),
            expected_bucket_owner: self.optional(
                "baseline.expected_bucket_owner",
                said.baseline_expected_bucket_owner.clone(),
                check_account_id,
            ),
            groups: self.named("patch_group", &input.patch_groups, |judge, said| {
                let group = judge.patch_group(said)?;
                Some((group.name.clone(), said.place.clone(), group))
            }),
        }
    }

    fn patch_group(&mut self, said: &PatchGroupFragment) -> Option<PatchGroup> {
        let keys = [("name", said.name.as_ref()), ("baseline", said.baseline.as_ref())];
        let example = "write name = \"web servers\" and baseline = \"/etc/patchd/web.json\"";
        let [Some(name), Some(source)] = self.all_or_none("patch_group", &said.place, keys, example) else {
            return None;
        };
        let name = self.judged("patch_group.name", name, |name| check_group(name).map(|()| name.clone()));
        let source = self.judged("patch_group.baseline", source, |text| match parse_source(text)? {
            BaselineSource::Default => Err("it is empty; name a file, an s3:// URL or builtin:…".into()),
            source => Ok(source),
        });
        Some(PatchGroup { name: name?, source: source? })
    }
}

/// Checks the name of a group, from the configuration or from a tag.
pub fn check_group(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if (1..=MAX_GROUP).contains(&length) && !name.chars().any(char::is_control) && name.trim() == name {
        return Ok(());
    }
    Err(format!("a patch group has 1 to {MAX_GROUP} characters on one line, with no blank at either end"))
}

/// Reads a path, `s3://BUCKET/KEY` or `builtin:NAME`; the empty text is the default.
pub fn parse_source(text: &str) -> Result<BaselineSource, String> {
    if text.is_empty() {
        return Ok(BaselineSource::Default);
    }
    if text.starts_with("builtin:") {
        return Baseline::builtin_by_id(text)
            .map(|baseline| BaselineSource::Builtin(baseline.system))
            .ok_or_else(|| {
                let known: Vec<_> = OperatingSystem::ALL.map(|system| Baseline::builtin(system).id).to_vec();
                format!("there is no {text:?}; use one of {}", known.join(", "))
            });
    }
    if text.starts_with('/') {
        return Ok(BaselineSource::File(text.into()));
    }
    match text.parse() {
        Ok(StoreUrl::File { path }) => Ok(BaselineSource::File(path)),
        Ok(StoreUrl::S3 { bucket, prefix }) if !prefix.is_empty() => {
            Ok(BaselineSource::S3 { bucket, key: prefix })
        }
        Ok(StoreUrl::S3 { .. }) => Err(format!("{text:?} names a bucket; write s3://BUCKET/KEY")),
        Err(error @ (StoreUrlError::BadBucket { .. } | StoreUrlError::BadPrefix { .. })) => {
            Err(error.to_string())
        }
        Err(_) => Err(format!(
            "{text:?} names no baseline; write the whole path of a file, s3://BUCKET/KEY or builtin:NAME"
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{ConfigFile, read};

    #[track_caller]
    fn settings(text: &str) -> Result<crate::config::Settings, String> {
        let file = ConfigFile { name: "patchd.toml".into(), content: text.into() };
        read(&[file], |_| None).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_group_has_its_own_baseline_and_every_other_host_the_common_one() {
        let said = settings(
            "[agent]\npatch_group = \"web\"\n[baseline]\nsource = \"s3://policy/linux/base.json\"\n\
             [[patch_group]]\nname = \"web\"\nbaseline = \"/etc/patchd/web.toml\"\n\
             [[patch_group]]\nname = \"data base\"\nbaseline = \"builtin:debian\"\n",
        )
        .unwrap();
        let source = |group: Option<&str>| said.baseline.of_group(group).to_string();
        assert_eq!(said.agent.patch_group.as_deref(), Some("web"));
        assert_eq!(source(Some("web")), "/etc/patchd/web.toml");
        assert_eq!(source(Some("data base")), "builtin:debian");
        for other in [None, Some("Web"), Some("unknown")] {
            assert_eq!(source(other), "s3://policy/linux/base.json");
        }
    }

    #[test]
    fn a_source_that_can_name_no_baseline_is_told_with_what_to_write() {
        for (source, expected) in [
            ("baseline.json", "names no baseline; write the whole path of a file, s3://BUCKET/KEY"),
            ("s3://bucket", "names a bucket; write s3://BUCKET/KEY"),
            ("s3://B/key", "is no bucket name"),
            ("builtin:windows", "there is no \"builtin:windows\"; use one of builtin:amazon-linux, "),
        ] {
            let told = settings(&format!("[baseline]\nsource = \"{source}\"\n")).unwrap_err();
            assert!(told.starts_with("patchd.toml:2: baseline.source: "), "{told}");
            assert!(told.contains(expected), "{told}");
        }
        let told = settings("[[patch_group]]\nname = \" web\"\nbaseline = \"\"\n").unwrap_err();
        assert!(told.contains("patchd.toml:2: patch_group.name: a patch group has 1 to 256"), "{told}");
        assert!(told.contains("patchd.toml:3: patch_group.baseline: it is empty"), "{told}");
        let told = settings("[[patch_group]]\nname = \"web\"\n").unwrap_err();
        assert!(
            told.contains("patchd.toml:1: patch_group.baseline: the patch_group has none; write"),
            "{told}"
        );
    }
}
