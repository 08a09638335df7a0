//! `[[freeze]]` and `[[emergency]]`: when nothing is changed, and on whose word it is all the same, with their judging.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use patchd_core::gate::Freeze;
use patchd_core::window::freeze::{self, Emergency, FreezePeriod, FreezeTimes};
use patchd_core::window::{Field, ScheduleText};

use super::fragment::{EmergencyFragment, FreezeFragment, Located};
use super::settings::{Judge, Settings};
use super::value::{check_name, instant, parse_duration};

/// The longest reason, and the longest name of a person, in characters.
const MAX_REASON: usize = 500;
const MAX_PERSON: usize = 100;

impl Settings {
    /// The freeze that forbids a change at `now`, if one does.
    pub fn frozen(&self, now: Timestamp) -> Option<Freeze> {
        freeze::standing(&self.freezes, &self.emergencies, now).freeze
    }

    /// Whose word lifts which freeze at `now`, in a sentence.
    pub fn lifted(&self, now: Timestamp) -> Option<String> {
        freeze::standing(&self.freezes, &self.emergencies, now).lifted
    }
}

impl Judge<'_> {
    pub(super) fn freezes(
        &mut self,
        files: &[Vec<FreezeFragment>],
        zone_of: impl Fn(&str) -> Option<TimeZone>,
    ) -> Vec<FreezePeriod> {
        self.named("freeze", files, |judge, said| {
            let freeze = match &said.schedule {
                None => judge.dated(said)?,
                Some(schedule) => judge.recurring(said, schedule, &zone_of)?,
            };
            Some((freeze.name.clone(), said.place.clone(), freeze))
        })
    }

    /// A freeze between two instants.
    fn dated(&mut self, said: &FreezeFragment) -> Option<FreezePeriod> {
        let keys = [
            ("name", said.name.as_ref()),
            ("from", said.from.as_ref()),
            ("until", said.until.as_ref()),
            ("reason", said.reason.as_ref()),
        ];
        let example = "write name = \"holidays\", from = 2026-12-20T00:00:00Z, until = 2027-01-04T00:00:00Z and \
                       reason = \"change freeze\"";
        let [Some(name), Some(from), Some(until), Some(reason)] =
            self.all_or_none("freeze", &said.place, keys, example)
        else {
            return None;
        };
        for (key, value) in [("timezone", &said.timezone), ("duration", &said.duration)] {
            if let Some(value) = value {
                let message = "only a freeze with a schedule has one".into();
                self.mistake(&value.place, &format!("freeze.{key}"), message);
                return None;
            }
        }
        let name = self.judged("freeze.name", name, |name| check_name(name, 64).map(|()| name.clone()));
        let from = self.judged("freeze.from", from, |text| instant(text));
        let reason = self.judged("freeze.reason", reason, |text| check_text("a reason", text, MAX_REASON));
        let end = self.judged("freeze.until", until, |text| instant(text));
        let (Some(name), Some(from), Some(end), Some(reason)) = (name, from, end, reason) else {
            return None;
        };
        if end <= from {
            self.mistake(&until.place, "freeze.until", format!("{end} is not after {from}"));
            return None;
        }
        Some(FreezePeriod { name, reason, times: FreezeTimes::Dated { from, until: end } })
    }

    /// A freeze by a schedule, which `from` and `until` may bound.
    fn recurring(
        &mut self,
        said: &FreezeFragment,
        schedule: &Located<String>,
        zone_of: impl Fn(&str) -> Option<TimeZone>,
    ) -> Option<FreezePeriod> {
        let keys = [("name", said.name.as_ref()), ("reason", said.reason.as_ref())];
        let example = "write name = \"holidays\" and reason = \"change freeze\"";
        let [name, reason] = self.all_or_none("freeze", &said.place, keys, example);
        let name = name.and_then(|name| {
            self.judged("freeze.name", name, |name| check_name(name, 64).map(|()| name.clone()))
        });
        let reason = reason.and_then(|reason| {
            self.judged("freeze.reason", reason, |text| check_text("a reason", text, MAX_REASON))
        });
        let from = self.optional_value("freeze.from", said.from.as_ref(), |text| instant(text));
        let until = self.optional_value("freeze.until", said.until.as_ref(), |text| instant(text));
        let duration = self.optional_value("freeze.duration", said.duration.as_ref(), |text| {
            let length = parse_duration(text)?;
            Ok(SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX))
        });
        let (name, reason) = (name?, reason?);
        let text = ScheduleText {
            expression: schedule.value.clone(),
            timezone: said.timezone.as_ref().map(|zone| zone.value.clone()),
            offset: None,
            start: from?,
            end: until?,
            created: None,
        };
        let error = match FreezeTimes::recurring(text, duration?, zone_of) {
            Ok(times) => return Some(FreezePeriod { name, reason, times }),
            Err(error) => error,
        };
        let (key, value) = match error.field {
            Field::Timezone => ("timezone", said.timezone.as_ref()),
            Field::Duration => ("duration", said.duration.as_ref()),
            Field::Start => ("from", said.from.as_ref()),
            Field::End => ("until", said.until.as_ref()),
            Field::Schedule | Field::Cutoff | Field::Offset => ("schedule", Some(schedule)),
        };
        let place = value.map_or(&schedule.place, |value| &value.place);
        self.mistake(place, &format!("freeze.{key}"), error.detail);
        None
    }

    /// Emergencies, each of which must lift a freeze that there is.
    pub(super) fn emergencies(
        &mut self,
        files: &[Vec<EmergencyFragment>],
        freezes: &[FreezePeriod],
    ) -> Vec<Emergency> {
        self.named("emergency", files, |judge, said| {
            let (name, emergency) = judge.emergency(said, freezes)?;
            Some((name, said.place.clone(), emergency))
        })
    }

    fn emergency(
        &mut self,
        said: &EmergencyFragment,
        freezes: &[FreezePeriod],
    ) -> Option<(String, Emergency)> {
        let keys = [
            ("name", said.name.as_ref()),
            ("by", said.by.as_ref()),
            ("reason", said.reason.as_ref()),
            ("until", said.until.as_ref()),
        ];
        let example = "write name = \"CVE-2027-1\", freezes = [\"holidays\"], by = \"Ada Lovelace\", reason = \"it is \
                       exploited\" and until = 2026-12-24T00:00:00Z";
        let [name, by, reason, until] = self.all_or_none("emergency", &said.place, keys, example);
        let Some(lifted) = &said.freezes else {
            let message = format!("the emergency has none; {example}");
            self.mistake(&said.place, "emergency.freezes", message);
            return None;
        };
        let (name, by, reason, until) = (name?, by?, reason?, until?);
        let name = self.judged("emergency.name", name, |name| check_name(name, 64).map(|()| name.clone()));
        let by = self.judged("emergency.by", by, |text| check_text("a person", text, MAX_PERSON));
        let reason = self.judged("emergency.reason", reason, |text| check_text("a reason", text, MAX_REASON));
        let until = self.judged("emergency.until", until, |text| instant(text));
        let is_unknown = |name: &&String| freezes.iter().all(|freeze| freeze.name != **name);
        let unknown = lifted.value.iter().find(is_unknown);
        if lifted.value.is_empty() || unknown.is_some() {
            let message = match unknown {
                Some(unknown) => format!("there is no freeze {unknown:?}"),
                None => "it names no freeze".into(),
            };
            self.mistake(&lifted.place, "emergency.freezes", message);
            return None;
        }
        Some((name?, Emergency { freezes: lifted.value.clone(), by: by?, reason: reason?, until: until? }))
    }
}

fn check_text(what: &str, text: &str, longest: usize) -> Result<String, String> {
    let length = text.chars().count();
    if (1..=longest).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("{what} has 1 to {longest} characters on one line"))
}
