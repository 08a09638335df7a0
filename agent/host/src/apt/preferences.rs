//! The host's pins (apt_preferences(5)): how its administrator weighs repositories and versions. It chooses nothing:
//! that is `candidate`.

use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::apt::conf::{Conf, part_names};
use crate::apt::pattern::{NotUnderstood, Pattern};
use crate::deb822::{Stanza, StanzaReader};
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

const MAX_FILE: u64 = 4 << 20;

/// The priority of `Pin-Priority: never`.
pub const NEVER: i32 = i16::MIN as i32;

/// What a pin is held against.
#[derive(Debug, Clone)]
pub enum Match {
    /// The version of a package; with a prefix of it before a `*`.
    Version { text: String, is_prefix: bool, pattern: Pattern },
    /// Facts of its Release file.
    Release(Box<ReleaseMatch>),
    /// The site of its address.
    Origin(Pattern),
    /// A specification that apt takes for none.
    Nothing,
}

/// The facts that a `Pin: release` asks for; all that are there must hold.
#[derive(Debug, Clone, Default)]
pub struct ReleaseMatch {
    pub is_any: bool,
    pub version: Option<(String, bool, Pattern)>,
    pub origin: Option<Pattern>,
    pub archive: Option<Pattern>,
    pub codename: Option<Pattern>,
    /// A bare word: the archive or the codename.
    pub archive_or_codename: Option<Pattern>,
    pub label: Option<Pattern>,
    pub component: Option<Pattern>,
    pub architecture: Option<Pattern>,
}

/// Which packages a specific pin speaks of.
#[derive(Debug, Clone)]
pub struct Selector {
    pub name: Name,
    /// All binary packages of the source of this name.
    pub is_source: bool,
    /// Absent means the native architecture.
    pub architecture: Option<String>,
}

#[derive(Debug, Clone)]
pub enum Name {
    Exact(String),
    Pattern(Pattern),
}

#[derive(Debug, Clone)]
pub struct GeneralPin {
    pub matches: Match,
    pub priority: i32,
}

#[derive(Debug, Clone)]
pub struct SpecificPin {
    pub selectors: Vec<Selector>,
    pub matches: Match,
    pub priority: i32,
}

/// All pins, in the order in which apt reads them.
#[derive(Debug, Clone, Default)]
pub struct Preferences {
    /// `Package: *`.
    pub general: Vec<GeneralPin>,
    pub specific: Vec<SpecificPin>,
    /// Patterns that this reader does not understand.
    pub unknown: Vec<String>,
}

impl Preferences {
    /// What the files under `root` say, and before them the default release of the settings.
    pub fn read(root: &Root, conf: &Conf, problems: &mut ProblemList) -> Self {
        let mut preferences = Self::default();
        if let Some(release) = conf.find("APT::Default-Release") {
            let matches = preferences.understand(parse_release(release));
            preferences.general.push(GeneralPin { matches, priority: 990 });
        }
        let main = conf.path("Dir::Etc::preferences");
        if !main.is_empty() {
            preferences.read_file(root, &main, problems);
        }
        let parts = conf.path("Dir::Etc::preferencesparts");
        for name in part_names(root, &parts, &["pref"], problems) {
            preferences.read_file(root, &format!("{}/{name}", parts.trim_end_matches('/')), problems);
        }
        preferences
    }

    fn read_file(&mut self, root: &Root, name: &str, problems: &mut ProblemList) {
        match read::read_optional(root, name, MAX_FILE) {
            Ok(None) => {}
            Ok(Some(text)) => self.apply(&text, name, problems),
            Err(error) => problems.push(error.to_problem(Weight::Incomplete)),
        }
    }

    /// Adds the pins of one file. A bad one ends the file, as it does for apt.
    pub fn apply(&mut self, text: &[u8], place: &str, problems: &mut ProblemList) {
        let mut reader = StanzaReader::new(text);
        // Reading from memory can't fail.
        while let Ok(Some(stanza)) = reader.next_stanza() {
            match self.apply_stanza(&stanza) {
                Ok(None) => {}
                Ok(Some(remark)) => problems.push(
                    Problem::new(ProblemKind::Malformed, Weight::Notice, place, remark).at_line(stanza.line),
                ),
                Err(reason) => {
                    let message = format!(
                        "{reason}; the rest of the file does not count, and apt-get refuses to work until this is repaired"
                    );
                    let problem = Problem::new(ProblemKind::Malformed, Weight::Incomplete, place, message);
                    problems.push(problem.at_line(stanza.line));
                    return;
                }
            }
        }
    }

    fn apply_stanza(&mut self, stanza: &Stanza<'_>) -> Result<Option<&'static str>, &'static str> {
        let mut package = String::new();
        let mut pin = None;
        let mut priority = String::new();
        let mut has_fields = false;
        let mut has_bad_line = false;
        for field in stanza.fields() {
            let Ok(field) = field else {
                has_bad_line = true;
                continue;
            };
            has_fields = true;
            let value = || String::from_utf8_lossy(field.value).into_owned();
            if field.is("Package") {
                package = value();
            } else if field.is("Pin") {
                pin = Some(value());
            } else if field.is("Pin-Priority") {
                priority = value();
            }
        }
        if !has_fields {
            return if has_bad_line { Err("a line is no field") } else { Ok(None) };
        }
        if package.is_empty() {
            return Err("a pin has no Package");
        }
        let Some(pin) = pin else {
            return Ok(Some("a record has no Pin and does nothing"));
        };
        let is_general = package == "*";
        let (kind, data) = pin.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((&pin, ""));
        let data = data.trim_start();
        let matches = match kind.to_ascii_lowercase().as_str() {
            "version" if !is_general => self.understand(parse_version(data)),
            "release" => self.understand(parse_release(data)),
            "origin" => self.understand(parse_origin(data)),
            _ => return Ok(Some("apt does not understand the kind of this pin, and passes it over")),
        };
        let priority = parse_priority(&priority, is_general)?;
        if is_general {
            self.general.push(GeneralPin { matches, priority });
        } else {
            let selectors = package.split_ascii_whitespace().filter_map(|word| self.selector(word)).collect();
            self.specific.push(SpecificPin { selectors, matches, priority });
        }
        Ok(None)
    }

    fn understand(&mut self, result: Result<Match, NotUnderstood>) -> Match {
        result.unwrap_or_else(|NotUnderstood(text)| {
            self.unknown.push(format!("the expression {text} of a pin"));
            Match::Nothing
        })
    }

    fn selector(&mut self, word: &str) -> Option<Selector> {
        let (is_source, word) = match word.strip_prefix("src:") {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let (name, architecture) = match word.rsplit_once(':') {
            Some((name, architecture)) => (name, Some(architecture.to_owned())),
            None => (word, None),
        };
        let name = if Pattern::is_pattern(name) {
            match Pattern::parse(name) {
                Ok(pattern) => Name::Pattern(pattern),
                Err(NotUnderstood(text)) => {
                    self.unknown.push(format!("the expression {text} of a pin"));
                    return None;
                }
            }
        } else {
            Name::Exact(name.to_owned())
        };
        Some(Selector { name, is_source, architecture })
    }
}

/// C's strtol, and the range of a short.
fn parse_priority(text: &str, is_general: bool) -> Result<i32, &'static str> {
    if text == "never" {
        return if is_general { Ok(NEVER) } else { Err("the priority never is for Package: * only") };
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = digits.bytes().take_while(u8::is_ascii_digit).count();
    let sign = text.len() - text.strip_prefix(['+', '-']).unwrap_or(text).len();
    let number = text.get(..sign + digits).unwrap_or_default();
    if digits == 0 {
        return Err("a pin has no priority");
    }
    match number.parse::<i16>().map(i32::from) {
        Ok(0) => Err("a pin has the priority 0"),
        Ok(NEVER) => Ok(NEVER + 1),
        Ok(priority) => Ok(priority),
        Err(_) => Err("a pin's priority is outside of -32768 to 32767"),
    }
}

fn parse_version(data: &str) -> Result<Match, NotUnderstood> {
    let (text, is_prefix, pattern) = version_parts(data)?;
    Ok(Match::Version { text, is_prefix, pattern })
}

fn version_parts(data: &str) -> Result<(String, bool, Pattern), NotUnderstood> {
    let (text, is_prefix) = match data.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (data, false),
    };
    Ok((text.to_owned(), is_prefix, Pattern::parse(text)?))
}

fn parse_origin(data: &str) -> Result<Match, NotUnderstood> {
    let site = data.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(data);
    Pattern::parse(site).map(Match::Origin)
}

fn parse_release(data: &str) -> Result<Match, NotUnderstood> {
    /// apt's own buffers.
    const MAX_LENGTH: usize = 299;
    const MAX_PARTS: usize = 19;

    let mut release = Box::<ReleaseMatch>::default();
    if data == "*" {
        release.is_any = true;
        return Ok(Match::Release(release));
    }
    if !data.contains('=') {
        if data.starts_with(|c: char| c.is_ascii_digit()) {
            release.version = Some(version_parts(data)?);
        } else if !data.is_empty() {
            release.archive_or_codename = Some(Pattern::parse(data)?);
        }
        return Ok(Match::Release(release));
    }
    let end = (0..=MAX_LENGTH.min(data.len())).rfind(|&at| data.is_char_boundary(at)).unwrap_or_default();
    let parts: Vec<_> = data.get(..end).unwrap_or_default().split(',').map(str::trim).collect();
    if MAX_PARTS < parts.len() {
        return Ok(Match::Nothing);
    }
    for part in parts {
        let Some((key, value)) = part.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            continue;
        };
        match key.to_ascii_lowercase().as_str() {
            "v" => release.version = Some(version_parts(value)?),
            "o" => release.origin = Some(Pattern::parse(value)?),
            "a" => release.archive = Some(Pattern::parse(value)?),
            "n" => release.codename = Some(Pattern::parse(value)?),
            "l" => release.label = Some(Pattern::parse(value)?),
            "c" => release.component = Some(Pattern::parse(value)?),
            "b" => release.architecture = Some(Pattern::parse(value)?),
            _ => {}
        }
    }
    Ok(Match::Release(release))
}

/// What is known of one index, for matching.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    pub is_status_file: bool,
    pub site: &'a str,
    pub component: &'a str,
    pub architecture: &'a str,
    pub origin: Option<&'a str>,
    pub label: Option<&'a str>,
    pub suite: Option<&'a str>,
    pub codename: Option<&'a str>,
    pub version: Option<&'a str>,
}

impl Match {
    /// Whether an index is what the pin asks for. A pin on versions asks for no index.
    pub fn matches_index(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Version { .. } | Self::Nothing => false,
            Self::Origin(pattern) => !facts.is_status_file && pattern.matches(facts.site),
            Self::Release(release) => release.matches(facts),
        }
    }

    pub fn matches_version(&self, version: &str) -> bool {
        match self {
            Self::Version { text, is_prefix, pattern } => version_matches(version, text, *is_prefix, pattern),
            _ => false,
        }
    }
}

fn version_matches(version: &str, text: &str, is_prefix: bool, pattern: &Pattern) -> bool {
    let head = version.get(..text.len());
    let is_same = head.is_some_and(|head| head.eq_ignore_ascii_case(text));
    (is_same && (is_prefix || version.len() == text.len())) || pattern.matches(version)
}

impl ReleaseMatch {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        if self.is_any {
            return true;
        }
        // The status file has no Release file: its archive is called "now", and it has nothing else.
        let (suite, component) =
            if facts.is_status_file { (Some("now"), "now") } else { (facts.suite, facts.component) };
        let holds = |pattern: &Option<Pattern>, value: Option<&str>| {
            pattern.as_ref().is_none_or(|pattern| value.is_some_and(|value| pattern.matches(value)))
        };
        let version = self.version.as_ref().is_none_or(|(text, is_prefix, pattern)| {
            facts.version.is_some_and(|version| version_matches(version, text, *is_prefix, pattern))
        });
        let word = self.archive_or_codename.as_ref().is_none_or(|pattern| {
            [suite, facts.codename].into_iter().flatten().any(|value| pattern.matches(value))
        });
        // An index without facts must not be matched by a pin without conditions.
        let has_condition = self.version.is_some()
            || self.archive_or_codename.is_some()
            || [
                &self.origin,
                &self.archive,
                &self.codename,
                &self.label,
                &self.component,
                &self.architecture,
            ]
            .into_iter()
            .any(Option::is_some);
        has_condition
            && version
            && word
            && holds(&self.origin, facts.origin)
            && holds(&self.archive, suite)
            && holds(&self.codename, facts.codename)
            && holds(&self.label, facts.label)
            && holds(&self.component, Some(component))
            && holds(&self.architecture, Some(facts.architecture))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Preferences, Vec<Problem>) {
        let mut problems = ProblemList::new("the preferences");
        let mut preferences = Preferences::default();
        preferences.apply(text.as_bytes(), "preferences", &mut problems);
        (preferences, problems.into_problems())
    }

    const DEBIAN: Facts<'static> = Facts {
        is_status_file: false,
        site: "example.org",
        component: "main",
        architecture: "amd64",
        origin: Some("Debian"),
        label: Some("Debian-Security"),
        suite: Some("stable-security"),
        codename: Some("bookworm-security"),
        version: Some("12"),
    };

    #[track_caller]
    fn check(pin: &str, matches_debian: bool, matches_status: bool) {
        let (preferences, problems) = parse(&format!("Package: *\nPin: {pin}\nPin-Priority: 1\n"));
        assert_eq!(problems, [], "{pin}");
        let status = Facts { is_status_file: true, ..Facts::default() };
        let pin_of = &preferences.general[0].matches;
        assert_eq!(pin_of.matches_index(&DEBIAN), matches_debian, "{pin}");
        assert_eq!(pin_of.matches_index(&status), matches_status, "{pin} on the status file");
    }

    #[test]
    fn every_form_of_a_pin_asks_for_what_apt_asks() {
        check("release *", true, true);
        check("release o=debian", true, false);
        check("release o=Debian, l=Debian*", true, false);
        check("release a=stable", false, false);
        check("release A=stable-*,n=/^book/", true, false);
        check("release now", false, true);
        check("release bookworm-security", true, false);
        check("release 12", true, false);
        check("release v=1*", true, false);
        check("release c=main,b=amd64", true, false);
        check("release x=y", false, false);
        check("origin example.org", true, false);
        check("origin \"\"", false, false);
        check("origin *.org", true, false);
    }

    #[test]
    fn a_selector_has_a_name_an_architecture_and_perhaps_a_source() {
        let (preferences, problems) =
            parse("Package: a b:any src:c* /^d/:i386\nPin: version 1.0*\nPin-Priority: -5x\n");
        assert_eq!(problems, []);
        let pin = &preferences.specific[0];
        assert_eq!(pin.priority, -5);
        assert_eq!(pin.selectors.len(), 4);
        assert!(
            matches!(&pin.selectors[1], Selector { name: Name::Exact(name), architecture: Some(arch), .. } if name == "b" && arch == "any")
        );
        assert!(pin.selectors[2].is_source);
        assert!(pin.matches.matches_version("1.0-1") && !pin.matches.matches_version("1:1.0"));
    }

    #[test]
    fn a_bad_priority_ends_the_file_and_disables_apt() {
        for priority in ["0", "", "x", "40000", "never"] {
            let text = format!(
                "Package: a\nPin: release o=x\nPin-Priority: {priority}\n\nPackage: *\nPin: release o=y\nPin-Priority: 7\n"
            );
            let (preferences, problems) = parse(&text);
            assert_eq!(problems.len(), 1, "{priority}");
            assert_eq!(problems[0].weight, Weight::Incomplete);
            assert!(preferences.general.is_empty());
        }
        let (preferences, problems) = parse(
            "Package: *\nPin: version 1\nPin-Priority: 0\n\n# only a comment\n\nPackage: *\nPin: release o=y\nPin-Priority: never\n",
        );
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].weight, Weight::Notice);
        assert_eq!(preferences.general[0].priority, NEVER);
    }
}
