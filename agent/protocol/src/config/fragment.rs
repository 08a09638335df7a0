//! What one configuration file says, with the line of each value. It knows keys and types; it judges no value.

use std::rc::Rc;

use toml::de::{DeTable, DeValue};

use super::ConfigFile;
use super::mistake::{Mistake, suggest};

/// Where a value was written.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: Rc<str>,
    pub(super) line: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// One `[[window]]`, its values not yet judged.
#[derive(Debug, Clone)]
pub(super) struct WindowFragment {
    /// The line of its header.
    pub(super) place: Place,
    pub(super) name: Option<Located<String>>,
    pub(super) schedule: Option<Located<String>>,
    pub(super) timezone: Option<Located<String>>,
    pub(super) duration: Option<Located<String>>,
    pub(super) cutoff: Option<Located<String>>,
    pub(super) offset: Option<Located<i64>>,
    pub(super) start: Option<Located<String>>,
    pub(super) end: Option<Located<String>>,
}

/// One `[[freeze]]`, its values not yet judged.
#[derive(Debug, Clone)]
pub(super) struct FreezeFragment {
    pub(super) place: Place,
    pub(super) name: Option<Located<String>>,
    pub(super) from: Option<Located<String>>,
    pub(super) until: Option<Located<String>>,
    pub(super) schedule: Option<Located<String>>,
    pub(super) timezone: Option<Located<String>>,
    pub(super) duration: Option<Located<String>>,
    pub(super) reason: Option<Located<String>>,
}

/// One `[[emergency]]`, its values not yet judged.
#[derive(Debug, Clone)]
pub(super) struct EmergencyFragment {
    pub(super) place: Place,
    pub(super) name: Option<Located<String>>,
    pub(super) freezes: Option<Located<Vec<String>>>,
    pub(super) by: Option<Located<String>>,
    pub(super) reason: Option<Located<String>>,
    pub(super) until: Option<Located<String>>,
}

/// One `[[conffile]]`, its values not yet judged.
#[derive(Debug, Clone)]
pub(super) struct ConffileFragment {
    pub(super) place: Place,
    pub(super) packages: Option<Located<String>>,
    pub(super) rule: Option<Located<String>>,
}

/// One `[[patch_group]]`, its values not yet judged.
#[derive(Debug, Clone)]
pub(super) struct PatchGroupFragment {
    pub(super) place: Place,
    pub(super) name: Option<Located<String>>,
    pub(super) baseline: Option<Located<String>>,
}

/// One file. A field is `None` if the file doesn't speak of the key.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    pub(super) host_id: Option<Located<String>>,
    pub(super) patch_group: Option<Located<String>>,
    pub(super) instance_id: Option<Located<String>>,
    pub(super) account: Option<Located<String>>,
    pub(super) region: Option<Located<String>>,
    pub(super) baseline_source: Option<Located<String>>,
    pub(super) baseline_install_override_list: Option<Located<String>>,
    pub(super) baseline_region: Option<Located<String>>,
    pub(super) baseline_expected_bucket_owner: Option<Located<String>>,
    pub(super) scan_interval: Option<Located<String>>,
    pub(super) scan_refresh: Option<Located<bool>>,
    pub(super) scan_max_list_age: Option<Located<String>>,
    pub(super) store_url: Option<Located<String>>,
    pub(super) store_endpoint: Option<Located<String>>,
    pub(super) store_path_style: Option<Located<bool>>,
    pub(super) store_region: Option<Located<String>>,
    pub(super) store_kms_key_id: Option<Located<String>>,
    pub(super) store_expected_bucket_owner: Option<Located<String>>,
    pub(super) apply_conffiles: Option<Located<String>>,
    pub(super) apply_reboot_reserve: Option<Located<String>>,
    pub(super) apply_longest_transaction: Option<Located<String>>,
    pub(super) apply_splay: Option<Located<String>>,
    pub(super) apply_allow_removal: Option<Located<Vec<String>>>,
    pub(super) apply_allow_downgrade: Option<Located<Vec<String>>>,
    pub(super) reboot_policy: Option<Located<String>>,
    pub(super) clock_require_synchronised: Option<Located<bool>>,
    pub(super) control_read_group: Option<Located<String>>,
    pub(super) control_change_users: Option<Located<Vec<String>>>,
    pub(super) control_change_groups: Option<Located<Vec<String>>>,
    pub(super) log_level: Option<Located<String>>,
    pub(super) windows: Vec<WindowFragment>,
    pub(super) freezes: Vec<FreezeFragment>,
    pub(super) emergencies: Vec<EmergencyFragment>,
    pub(super) conffiles: Vec<ConffileFragment>,
    pub(super) patch_groups: Vec<PatchGroupFragment>,
}

const SECTIONS: [&str; 14] = [
    "agent",
    "baseline",
    "patch_group",
    "scan",
    "store",
    "window",
    "freeze",
    "emergency",
    "apply",
    "conffile",
    "reboot",
    "clock",
    "control",
    "log",
];

/// The sections that may be there any number of times.
const LISTS: [&str; 5] = ["window", "freeze", "emergency", "conffile", "patch_group"];

impl Fragment {
    /// Reads one file. What is wrong is listed, and the rest of the file is read all the same.
    pub(super) fn parse(file: &ConfigFile, mistakes: &mut Vec<Mistake>) -> Self {
        let mut source = Source { name: file.name.as_str().into(), text: "", broken: Vec::new(), mistakes };
        let valid = match std::str::from_utf8(&file.content) {
            Ok(text) => text,
            Err(error) => {
                let valid = file.content.get(..error.valid_up_to()).unwrap_or_default();
                source.text = std::str::from_utf8(valid).unwrap_or_default();
                source.mistake(valid.len(), None, "a byte here is not UTF-8; save the file as UTF-8".into());
                source.text
            }
        };
        source.text = valid;
        let (document, errors) = DeTable::parse_recoverable(valid);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            source.broken.push(source.line(at));
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            source.mistake(at, None, format!("this is not TOML: {message}"));
        }
        let mut fragment = Self::default();
        for (key, value) in document.get_ref() {
            let at = key.span().start;
            match (key.get_ref().as_ref(), value.get_ref()) {
                (name, DeValue::Array(list)) if LISTS.contains(&name) => {
                    for item in list.iter() {
                        fragment.item(name, item.span().start, item.get_ref(), &mut source);
                    }
                }
                (name, _) if LISTS.contains(&name) => source.no_list(name, at),
                (name, DeValue::Table(table)) if SECTIONS.contains(&name) => {
                    fragment.section(Section::new(name, table, &mut source));
                }
                (name, _) if SECTIONS.contains(&name) => {
                    source.mistake(at, Some(name.into()), format!("it is a section; write it as [{name}]"));
                }
                (name, _) => source.mistake(at, None, unknown("section", name, &SECTIONS)),
            }
        }
        fragment
    }

    fn section(&mut self, mut section: Section<'_, '_>) {
        match section.name {
            "agent" => {
                self.host_id = section.text("host_id");
                self.patch_group = section.text("patch_group");
                self.instance_id = section.text("instance_id");
                self.account = section.text("account");
                self.region = section.text("region");
            }
            "baseline" => {
                self.baseline_source = section.text("source");
                self.baseline_install_override_list = section.text("install_override_list");
                self.baseline_region = section.text("region");
                self.baseline_expected_bucket_owner = section.text("expected_bucket_owner");
            }
            "scan" => {
                self.scan_interval = section.text("interval");
                self.scan_refresh = section.boolean("refresh");
                self.scan_max_list_age = section.text("max_list_age");
            }
            "store" => {
                self.store_url = section.text("url");
                self.store_endpoint = section.text("endpoint");
                self.store_path_style = section.boolean("path_style");
                self.store_region = section.text("region");
                self.store_kms_key_id = section.text("kms_key_id");
                self.store_expected_bucket_owner = section.text("expected_bucket_owner");
            }
            "apply" => {
                self.apply_conffiles = section.text("conffiles");
                self.apply_reboot_reserve = section.text("reboot_reserve");
                self.apply_longest_transaction = section.text("longest_transaction");
                self.apply_splay = section.text("splay");
                self.apply_allow_removal = section.texts("allow_removal");
                self.apply_allow_downgrade = section.texts("allow_downgrade");
            }
            "reboot" => self.reboot_policy = section.text("policy"),
            "clock" => self.clock_require_synchronised = section.boolean("require_synchronised"),
            "control" => {
                self.control_read_group = section.text("read_group");
                self.control_change_users = section.texts("change_users");
                self.control_change_groups = section.texts("change_groups");
            }
            _ => self.log_level = section.text("level"),
        }
        section.finish();
    }

    /// Reads one of `LISTS`.
    fn item(&mut self, name: &str, at: usize, value: &DeValue<'_>, source: &mut Source<'_>) {
        let DeValue::Table(table) = value else { return source.no_list(name, at) };
        let place = source.place(at);
        let mut section = Section::new(name, table, source);
        match name {
            "window" => self.windows.push(WindowFragment {
                place,
                name: section.text("name"),
                schedule: section.text("schedule"),
                timezone: section.text("timezone"),
                duration: section.text("duration"),
                cutoff: section.text("cutoff"),
                offset: section.integer("offset"),
                start: section.instant("start"),
                end: section.instant("end"),
            }),
            "freeze" => self.freezes.push(FreezeFragment {
                place,
                name: section.text("name"),
                from: section.instant("from"),
                until: section.instant("until"),
                schedule: section.text("schedule"),
                timezone: section.text("timezone"),
                duration: section.text("duration"),
                reason: section.text("reason"),
            }),
            "emergency" => self.emergencies.push(EmergencyFragment {
                place,
                name: section.text("name"),
                freezes: section.texts("freezes"),
                by: section.text("by"),
                reason: section.text("reason"),
                until: section.instant("until"),
            }),
            "patch_group" => self.patch_groups.push(PatchGroupFragment {
                place,
                name: section.text("name"),
                baseline: section.text("baseline"),
            }),
            _ => self.conffiles.push(ConffileFragment {
                place,
                packages: section.text("packages"),
                rule: section.text("rule"),
            }),
        }
        section.finish();
    }
}

/// One file while it is read.
struct Source<'a> {
    name: Rc<str>,
    text: &'a str,
    /// Lines that are no TOML: what the parser made of them is nobody's word.
    broken: Vec<usize>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Source<'_> {
    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    fn place(&self, at: usize) -> Place {
        Place { file: Rc::clone(&self.name), line: self.line(at) }
    }

    fn mistake(&mut self, at: usize, key: Option<String>, message: String) {
        let line = Some(self.line(at));
        self.mistakes.push(Mistake { file: self.name.as_ref().into(), line, key, message });
    }

    fn no_list(&mut self, name: &str, at: usize) {
        self.mistake(at, Some(name.into()), format!("write it as [[{name}]]"));
    }
}

/// One table while it is read: the keys that were asked for are the keys that it may have.
struct Section<'a, 's> {
    name: &'a str,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    source: &'a mut Source<'s>,
}

impl<'a, 's> Section<'a, 's> {
    fn new(name: &'a str, table: &'a DeTable<'a>, source: &'a mut Source<'s>) -> Self {
        Self { name, table, known: Vec::new(), source }
    }

    fn text(&mut self, key: &'static str) -> Option<Located<String>> {
        self.value(key, "a text in quotes", |value| match value {
            DeValue::String(text) => Some(text.as_ref().into()),
            _ => None,
        })
    }

    /// A date and time of TOML's own, or the same as a text.
    fn instant(&mut self, key: &'static str) -> Option<Located<String>> {
        self.value(key, "a date and time such as 2026-12-20T00:00:00Z", |value| match value {
            DeValue::Datetime(instant) => Some(instant.to_string()),
            DeValue::String(text) => Some(text.as_ref().into()),
            _ => None,
        })
    }

    fn integer(&mut self, key: &'static str) -> Option<Located<i64>> {
        self.value(key, "a whole number", |value| match value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        })
    }

    fn boolean(&mut self, key: &'static str) -> Option<Located<bool>> {
        self.value(key, "true or false", |value| match value {
            DeValue::Boolean(value) => Some(*value),
            _ => None,
        })
    }

    fn texts(&mut self, key: &'static str) -> Option<Located<Vec<String>>> {
        let text = |value: &DeValue<'_>| match value {
            DeValue::String(text) => Some(text.as_ref().to_owned()),
            _ => None,
        };
        self.value(key, "a list of texts in quotes", |value| match value {
            DeValue::Array(list) => list.iter().map(|item| text(item.get_ref())).collect(),
            _ => None,
        })
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        convert: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Option<Located<T>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        let at = value.span().start;
        if self.source.broken.contains(&self.source.line(at)) {
            return None;
        }
        let converted = convert(value.get_ref());
        if converted.is_none() {
            let message = format!("it must be {wanted}, not {}", describe(value.get_ref()));
            self.source.mistake(at, Some(format!("{}.{key}", self.name)), message);
        }
        converted.map(|value| Located { value, place: self.source.place(at) })
    }

    fn finish(self) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                let message = unknown("key", name, &self.known);
                self.source.mistake(
                    key.span().start,
                    Some(format!("{}.{}", self.name, shown(name))),
                    message,
                );
            }
        }
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    format!("there is no {what} \"{}\"; {}", shown(name), suggest(name, known))
}

/// A key of somebody else's making, on one line and not too long.
fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
