//! The settings: every value checked, every default filled in. The defaults written here are the ones that
//! packaging/patchd.toml documents; a test holds the two together.

use std::time::Duration;

use jiff::tz::TimeZone;
use patchd_core::window::Window;
use patchd_core::window::freeze::{Emergency, FreezePeriod};

use super::agent::AgentSettings;
use super::apply::{ApplySettings, ClockSettings, RebootSettings};
use super::baseline::BaselineSettings;
use super::fragment::{Located, Place};
use super::input::Input;
use super::mistake::{Mistake, suggest};
use super::value::parse_duration;
use crate::store_url::{StoreUrl, StoreUrlError};

/// Everything that an operator can set.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub agent: AgentSettings,
    pub baseline: BaselineSettings,
    pub scan: ScanSettings,
    pub store: StoreSettings,
    /// When the host may be changed. Empty by default: the agent then only looks.
    pub windows: Vec<Window>,
    /// When the host may not be changed, whatever else allows it. None by default.
    pub freezes: Vec<FreezePeriod>,
    /// Root's word that some freezes don't hold for a while. None by default.
    pub emergencies: Vec<Emergency>,
    pub apply: ApplySettings,
    pub reboot: RebootSettings,
    pub clock: ClockSettings,
    pub control: ControlSettings,
    pub log: LogSettings,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanSettings {
    /// How often the host is scanned. Default: 1 hour.
    pub interval: Duration,
    /// Whether a scan first has the package lists fetched. Default: yes.
    pub refresh: bool,
    /// Lists older than this make an assessment incomplete. Default: 7 days.
    pub max_list_age: Duration,
}

/// Where reports go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Default: the directory /var/lib/patchd/reports.
    pub location: StoreUrl,
    /// How to speak with S3, where the location is there.
    pub s3: S3Settings,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct S3Settings {
    /// Another S3 server than AWS's own: `https://s3.example.org`.
    pub endpoint: Option<String>,
    /// `https://server/bucket/key` instead of `https://bucket.server/key`. Default: no.
    pub path_style: bool,
    /// Default: from the environment, the profile or the instance.
    pub region: Option<String>,
    /// The KMS key that objects are encrypted with. Default: the bucket's own setting.
    pub kms_key_id: Option<String>,
    /// The account that must own the bucket; a write to somebody else's bucket of that name fails.
    pub expected_bucket_owner: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlSettings {
    /// The group whose members may read over the control socket. `None`: root alone. Default: `patchd`.
    pub read_group: Option<String>,
    /// Who may change things over the control socket besides root: names or numbers. Default: nobody.
    pub change_users: Vec<String>,
    pub change_groups: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    pub level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            agent: AgentSettings { host_id: None, patch_group: None, instance: None },
            baseline: BaselineSettings::default(),
            scan: ScanSettings {
                interval: Duration::from_secs(3_600),
                refresh: true,
                max_list_age: Duration::from_secs(7 * 86_400),
            },
            store: StoreSettings {
                location: StoreUrl::File { path: "/var/lib/patchd/reports".into() },
                s3: S3Settings::default(),
            },
            windows: Vec::new(),
            freezes: Vec::new(),
            emergencies: Vec::new(),
            apply: ApplySettings::default(),
            reboot: RebootSettings::default(),
            clock: ClockSettings::default(),
            control: ControlSettings {
                read_group: Some("patchd".into()),
                change_users: Vec::new(),
                change_groups: Vec::new(),
            },
            log: LogSettings { level: LogLevel::Info },
        }
    }
}

/// Judges every value. Where one is wrong, the mistake is listed and the default stands in.
pub(super) fn from_input(
    input: Input,
    zone_of: impl Fn(&str) -> Option<TimeZone>,
    mistakes: &mut Vec<Mistake>,
) -> Settings {
    let Settings { scan, store, clock, control, log, .. } = Settings::default();
    let mut judge = Judge { mistakes };
    let apply = judge.apply(&input);
    let reboot = judge.reboot(&input);
    let freezes = judge.freezes(&input.freezes, &zone_of);
    let baseline = judge.baseline(&input);
    let mut said = input.sections;
    let agent = judge.agent(&mut said);
    let region_of_instance = agent.instance.as_ref().map(|instance| instance.region.clone());
    let mut names = |key, value, default| match value {
        None => default,
        Some(list) => judge.or_default(key, Some(list), default, |list: &Vec<String>| check_accounts(list)),
    };
    let change_users = names("control.change_users", said.control_change_users, control.change_users);
    let change_groups = names("control.change_groups", said.control_change_groups, control.change_groups);
    Settings {
        agent,
        baseline,
        scan: ScanSettings {
            interval: judge.or_default("scan.interval", said.scan_interval, scan.interval, |text| {
                duration_within(text, "1m", "31d")
            }),
            refresh: said.scan_refresh.map_or(scan.refresh, |refresh| refresh.value),
            max_list_age: judge.or_default(
                "scan.max_list_age",
                said.scan_max_list_age,
                scan.max_list_age,
                |text| duration_within(text, "1h", "365d"),
            ),
        },
        store: StoreSettings {
            location: judge.or_default("store.url", said.store_url, store.location, |url: &String| {
                url.parse().map_err(|error: StoreUrlError| error.to_string())
            }),
            s3: S3Settings {
                endpoint: judge.optional("store.endpoint", said.store_endpoint, check_endpoint),
                path_style: said.store_path_style.map_or(store.s3.path_style, |style| style.value),
                region: judge
                    .optional("store.region", said.store_region, check_region)
                    .or(region_of_instance),
                kms_key_id: judge.optional("store.kms_key_id", said.store_kms_key_id, check_kms_key),
                expected_bucket_owner: judge.optional(
                    "store.expected_bucket_owner",
                    said.store_expected_bucket_owner,
                    check_account_id,
                ),
            },
        },
        windows: judge.windows(&input.windows, &zone_of),
        emergencies: judge.emergencies(&input.emergencies, &freezes),
        freezes,
        apply,
        reboot,
        clock: ClockSettings {
            require_synchronised: said
                .clock_require_synchronised
                .map_or(clock.require_synchronised, |required| required.value),
        },
        control: ControlSettings {
            read_group: match said.control_read_group {
                None => control.read_group,
                group => judge.optional("control.read_group", group, check_account),
            },
            change_users,
            change_groups,
        },
        log: LogSettings {
            level: judge.or_default("log.level", said.log_level, log.level, |text| level(text)),
        },
    }
}

pub(super) struct Judge<'a> {
    mistakes: &'a mut Vec<Mistake>,
}

impl Judge<'_> {
    pub(super) fn mistake(&mut self, place: &Place, key: &str, message: String) {
        let (file, line, key) = (place.file.as_ref().into(), Some(place.line), Some(key.into()));
        self.mistakes.push(Mistake { file, line, key, message });
    }

    pub(super) fn or_default<V, T>(
        &mut self,
        key: &str,
        said: Option<Located<V>>,
        default: T,
        parse: impl Fn(&V) -> Result<T, String>,
    ) -> T {
        let Some(Located { value, place }) = said else { return default };
        parse(&value).unwrap_or_else(|message| {
            self.mistake(&place, key, message);
            default
        })
    }

    /// A text that is checked and kept; the empty one takes back what an earlier file said.
    pub(super) fn optional(
        &mut self,
        key: &str,
        said: Option<Located<String>>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<String> {
        let Located { value, place } = said.filter(|said| !said.value.is_empty())?;
        match check(&value) {
            Ok(()) => Some(value),
            Err(message) => {
                self.mistake(&place, key, message);
                None
            }
        }
    }

    pub(super) fn judged<T>(
        &mut self,
        key: &str,
        said: &Located<String>,
        parse: impl Fn(&String) -> Result<T, String>,
    ) -> Option<T> {
        parse(&said.value).map_err(|message| self.mistake(&said.place, key, message)).ok()
    }

    /// A value that need not be there. The outer `None` is a mistake.
    pub(super) fn optional_value<T>(
        &mut self,
        key: &str,
        said: Option<&Located<String>>,
        parse: impl Fn(&String) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let Some(said) = said else { return Some(None) };
        self.judged(key, said, parse).map(Some)
    }

    /// The values of a table that needs them all. Each that is missing is a mistake.
    pub(super) fn all_or_none<'a, const N: usize>(
        &mut self,
        what: &str,
        place: &Place,
        keys: [(&str, Option<&'a Located<String>>); N],
        example: &str,
    ) -> [Option<&'a Located<String>>; N] {
        for (key, _) in keys.iter().filter(|(_, value)| value.is_none()) {
            self.mistake(place, &format!("{what}.{key}"), format!("the {what} has none; {example}"));
        }
        keys.map(|(_, value)| value)
    }

    /// A list of things with names: a later file replaces what has the same one, and one file has it once.
    pub(super) fn named<F, T>(
        &mut self,
        what: &str,
        files: &[Vec<F>],
        mut judge: impl FnMut(&mut Self, &F) -> Option<(String, Place, T)>,
    ) -> Vec<T> {
        let mut all: Vec<(String, T)> = Vec::new();
        for file in files {
            let mut lines: Vec<(String, usize)> = Vec::new();
            for said in file {
                let Some((name, place, item)) = judge(self, said) else { continue };
                if let Some((_, line)) = lines.iter().find(|(other, _)| *other == name) {
                    let message =
                        format!("{name:?} is already the name of the {what} in line {line}; give it another");
                    self.mistake(&place, &format!("{what}.name"), message);
                    continue;
                }
                lines.push((name.clone(), place.line));
                match all.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, earlier)) => *earlier = item,
                    None => all.push((name, item)),
                }
            }
        }
        all.into_iter().map(|(_, item)| item).collect()
    }
}

pub(super) fn duration_within(text: &str, least: &str, most: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if (parse_duration(least)?..=parse_duration(most)?).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("{text:?} is out of bounds; use {least} to {most}"))
}

fn check_endpoint(text: &str) -> Result<(), String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_right =
        |host: &str| !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic() && !"?#@".contains(c));
    match host {
        Some(host) if is_right(host) => Ok(()),
        _ => Err(format!("{text:?} is no server; write it like https://s3.example.org:9000")),
    }
}

pub(super) fn check_region(text: &str) -> Result<(), String> {
    let is_right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() <= 32 && text.chars().all(is_right) {
        return Ok(());
    }
    Err(format!("{text:?} is no region; write it like eu-central-1"))
}

fn check_kms_key(text: &str) -> Result<(), String> {
    if text.len() <= 2048 && text.chars().all(|c| c.is_ascii_alphanumeric() || ":/_-".contains(c)) {
        return Ok(());
    }
    Err(format!("{text:?} is no KMS key; write its id, its ARN or alias/NAME"))
}

pub(super) fn check_account_id(text: &str) -> Result<(), String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(format!("{text:?} is no AWS account; it has 12 digits"))
}

fn check_account(text: &str) -> Result<(), String> {
    let is_right = |c: char| c.is_ascii_alphanumeric() || "._-@\\$".contains(c);
    if !text.is_empty() && text.len() <= 256 && !text.starts_with('-') && text.chars().all(is_right) {
        return Ok(());
    }
    Err(format!("{text:?} is no name or number of a user or group"))
}

fn check_accounts(list: &[String]) -> Result<Vec<String>, String> {
    list.iter().map(|name| check_account(name).map(|()| name.clone())).collect()
}

fn level(text: &str) -> Result<LogLevel, String> {
    let known = LogLevel::ALL.map(LogLevel::as_str);
    let found = LogLevel::ALL.into_iter().find(|level| level.as_str() == text);
    found.ok_or_else(|| format!("{text:?} is no level; {}", suggest(text, &known)))
}
