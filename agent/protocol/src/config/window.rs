//! `[[window]]`: when the host may be changed, with its judging. What a schedule means is the core's to say.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use patchd_core::window::{Field, ScheduleText, Window, WindowText};

use super::fragment::{Place, WindowFragment};
use super::settings::Judge;
use super::value::{check_name, instant, parse_duration};

impl Judge<'_> {
    pub(super) fn windows(
        &mut self,
        files: &[Vec<WindowFragment>],
        zone_of: impl Fn(&str) -> Option<TimeZone>,
    ) -> Vec<Window> {
        self.named("window", files, |judge, said| {
            let window = judge.window(said, &zone_of)?;
            Some((window.name().to_owned(), said.place.clone(), window))
        })
    }

    fn window(
        &mut self,
        said: &WindowFragment,
        zone_of: impl Fn(&str) -> Option<TimeZone>,
    ) -> Option<Window> {
        let keys = [("name", said.name.as_ref()), ("schedule", said.schedule.as_ref())];
        let example = "write name = \"weekly\" and schedule = \"Sun 02:00 +3h UTC\"";
        let [name, schedule] = self.all_or_none("window", &said.place, keys, example);
        let name = name.and_then(|name| {
            self.judged("window.name", name, |name| check_name(name, 64).map(|()| name.clone()))
        });
        // Every mistake is told at once, so each value is looked at before one that is wrong ends it.
        let duration = self.optional_value("window.duration", said.duration.as_ref(), |text| length(text));
        let cutoff = self.optional_value("window.cutoff", said.cutoff.as_ref(), |text| length(text));
        let start = self.optional_value("window.start", said.start.as_ref(), |text| instant(text));
        let end = self.optional_value("window.end", said.end.as_ref(), |text| instant(text));
        let schedule = schedule?;
        let text = WindowText {
            name: name?,
            schedule: ScheduleText {
                expression: schedule.value.clone(),
                timezone: said.timezone.as_ref().map(|zone| zone.value.clone()),
                offset: said.offset.as_ref().map(|offset| offset.value),
                start: start?,
                end: end?,
                created: None,
            },
            duration: duration?,
            cutoff: cutoff?,
        };
        match Window::parse(text, zone_of) {
            Ok(window) => Some(window),
            Err(error) => {
                let place = said.place_of(error.field).unwrap_or(&said.place);
                self.mistake(place, &format!("window.{}", error.field), error.detail);
                None
            }
        }
    }
}

impl WindowFragment {
    /// Where a field is written, if it is.
    fn place_of(&self, field: Field) -> Option<&Place> {
        match field {
            Field::Schedule => self.schedule.as_ref().map(|said| &said.place),
            Field::Timezone => self.timezone.as_ref().map(|said| &said.place),
            Field::Duration => self.duration.as_ref().map(|said| &said.place),
            Field::Cutoff => self.cutoff.as_ref().map(|said| &said.place),
            Field::Offset => self.offset.as_ref().map(|said| &said.place),
            Field::Start => self.start.as_ref().map(|said| &said.place),
            Field::End => self.end.as_ref().map(|said| &said.place),
        }
    }
}

fn length(text: &str) -> Result<SignedDuration, String> {
    let length: Duration = parse_duration(text)?;
    Ok(SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX))
}
