//! When a host may be changed: `GET /v1/windows`, and what `patchctl windows` prints. It is reckoned from the settings
//! and an instant alone, so the daemon and the command line say the same.

use jiff::Timestamp;
use patchd_core::window::freeze::{Emergency, FreezePeriod, FreezeTimes};
use patchd_core::window::{Occurrence, Verdict, Window, verdict};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::WindowVerdict;
use crate::config::Settings;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum WindowsSchema {
    #[serde(rename = "patchd.windows/1")]
    V1,
}

/// When the host may be changed, and when not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WindowsDocument {
    pub schema: WindowsSchema,
    /// What is open or shut at one instant; absent where only a schedule's times are asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<MomentWire>,
    /// The next times that a window opens, in order.
    pub windows: Vec<OpeningWire>,
    /// What is configured; absent where a schedule of somebody's own is asked about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub configured: Option<ConfiguredWire>,
}

/// One time that a window opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpeningWire {
    /// The window's name in the configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// From here on no new step starts.
    #[schema(value_type = String, format = DateTime)]
    pub cutoff: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
}

/// What the windows and the freezes say of one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MomentWire {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Whether a change may start.
    pub open: bool,
    /// What the windows alone say, without the freezes.
    pub windows: WindowVerdict,
    /// Why, in a sentence.
    pub because: String,
    /// The window that is open, else the next one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub window: Option<OpeningWire>,
    /// The freeze that forbids it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub freeze: Option<InForceWire>,
    /// Whose word lifts a freeze that would be in force.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lifted: Option<String>,
}

/// A freeze that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InForceWire {
    pub reason: String,
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

/// What the configuration says of windows and freezes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfiguredWire {
    pub windows: Vec<ConfiguredWindowWire>,
    pub freezes: Vec<ConfiguredFreezeWire>,
    pub emergencies: Vec<EmergencyWire>,
}

/// One `[[window]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfiguredWindowWire {
    pub name: String,
    pub schedule: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timezone: Option<String>,
    pub duration_seconds: i64,
    pub cutoff_seconds: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset_days: Option<i64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<Timestamp>,
}

/// One `[[freeze]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfiguredFreezeWire {
    pub name: String,
    pub reason: String,
    /// Where it recurs: when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timezone: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// One `[[emergency]]`: root's word that freezes don't hold for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmergencyWire {
    /// The freezes that it lifts.
    pub freezes: Vec<String>,
    pub by: String,
    pub reason: String,
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

impl WindowsDocument {
    /// What the settings say of an instant, and the next `count` openings after it.
    pub fn of_settings(settings: &Settings, at: Timestamp, count: usize) -> Self {
        let windows = settings.windows.iter().map(ConfiguredWindowWire::from).collect();
        let freezes = settings.freezes.iter().map(ConfiguredFreezeWire::from).collect();
        let emergencies = settings.emergencies.iter().map(EmergencyWire::from).collect();
        let configured = ConfiguredWire { windows, freezes, emergencies };
        Self {
            schema: WindowsSchema::V1,
            at: Some(MomentWire::of(settings, at)),
            windows: openings(&settings.windows, at, count),
            configured: Some(configured),
        }
    }
}

/// The next openings of several windows, in order.
fn openings(windows: &[Window], after: Timestamp, count: usize) -> Vec<OpeningWire> {
    let mut all: Vec<_> = windows.iter().flat_map(|window| window.opens_after(after).take(count)).collect();
    all.sort();
    all.truncate(count);
    all.into_iter().map(OpeningWire::named).collect()
}

impl OpeningWire {
    /// With its window's name.
    pub fn named(occurrence: Occurrence) -> Self {
        let name = Some(occurrence.name.clone());
        Self { name, ..Self::unnamed(occurrence) }
    }

    /// For a schedule that nobody has given a name.
    pub fn unnamed(occurrence: Occurrence) -> Self {
        let Occurrence { start, cutoff, end, name: _ } = occurrence;
        Self { name: None, start, cutoff, end }
    }
}

impl MomentWire {
    /// What the settings say of an instant.
    pub fn of(settings: &Settings, at: Timestamp) -> Self {
        let lifted = settings.lifted(at);
        let mut moment = Self::of_windows(&settings.windows, at, OpeningWire::named);
        if let Some(lifted) = &lifted {
            moment.because = format!("{}; {lifted}", moment.because);
        }
        let moment = Self { lifted, ..moment };
        match settings.frozen(at) {
            None => moment,
            Some(freeze) => Self {
                open: false,
                because: format!("changes are frozen until {:.0}: {}", freeze.until, freeze.reason),
                freeze: Some(InForceWire { reason: freeze.reason, until: freeze.until }),
                ..moment
            },
        }
    }

    /// What windows alone say of an instant.
    pub fn of_windows(windows: &[Window], at: Timestamp, wire: impl Fn(Occurrence) -> OpeningWire) -> Self {
        // Past its cutoff, a window is still there, but nothing starts in it any more.
        let past_cutoff = || {
            let begun = windows.iter().filter_map(|window| window.ends_after(at).next());
            begun.filter(|occurrence| occurrence.start <= at).max_by_key(|occurrence| occurrence.end)
        };
        let (verdict, window, because) = match verdict(windows, at) {
            Verdict::NoneConfigured => {
                (WindowVerdict::None, None, "no window is configured, so nothing is changed".to_owned())
            }
            Verdict::Open(open) => {
                let because = format!("a change may start until the cutoff at {}", open.cutoff);
                (WindowVerdict::Open, Some(open), because)
            }
            Verdict::Shut { next } => {
                let why = match past_cutoff() {
                    Some(begun) => format!("the cutoff was at {}", begun.cutoff),
                    None => "no window is open".into(),
                };
                let then = match &next {
                    Some(next) => format!("the next opens at {}", next.start),
                    None => "none will open again".into(),
                };
                (WindowVerdict::Shut, next, format!("{why}; {then}"))
            }
        };
        let open = verdict == WindowVerdict::Open;
        Self { at, open, windows: verdict, because, window: window.map(wire), freeze: None, lifted: None }
    }
}

impl From<&FreezePeriod> for ConfiguredFreezeWire {
    fn from(freeze: &FreezePeriod) -> Self {
        let FreezePeriod { name, reason, times } = freeze;
        let (schedule, timezone, from, until) = match times {
            FreezeTimes::Dated { from, until } => (None, None, Some(*from), Some(*until)),
            FreezeTimes::Recurring(recurrence) => {
                let text = recurrence.text();
                (Some(text.expression.clone()), text.timezone.clone(), text.start, text.end)
            }
        };
        Self { name: name.clone(), reason: reason.clone(), schedule, timezone, from, until }
    }
}

impl From<&Emergency> for EmergencyWire {
    fn from(emergency: &Emergency) -> Self {
        let Emergency { freezes, by, reason, until } = emergency;
        Self { freezes: freezes.clone(), by: by.clone(), reason: reason.clone(), until: *until }
    }
}

impl From<&Window> for ConfiguredWindowWire {
    fn from(window: &Window) -> Self {
        let text = window.text();
        let (duration, cutoff) = window.duration();
        Self {
            name: text.name.clone(),
            schedule: text.schedule.expression.clone(),
            timezone: text.schedule.timezone.clone(),
            duration_seconds: duration.as_secs(),
            cutoff_seconds: cutoff.as_secs(),
            offset_days: text.schedule.offset,
            start: text.schedule.start,
            end: text.schedule.end,
        }
    }
}
