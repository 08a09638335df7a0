//! A whole document: which form it is in, and everything of a baseline but its rules.

use jiff::Timestamp;
use patchd_core::baseline::filter::Filter;
use patchd_core::baseline::pattern::Pattern;
use patchd_core::baseline::system::{OperatingSystem, Packaging};
use patchd_core::baseline::{ApprovedList, Baseline, RejectedAction, RejectedList};

use super::BaselineFile;
use super::names::{CAMEL, Names, PASCAL, Shape};
use super::notation::{Node, Value};
use super::rules::{self, Context, read_level};
use super::section::{Findings, Located, Place, Section, shown};
use super::text::{self, check_length, unknown_word, within, word};
use super::vocabulary::OTHER_SYSTEMS;

pub(super) const MOST_LISTED: usize = 50;
pub(super) const MOST_SOURCES: usize = 20;

/// Entries beyond it are not even looked at: the list is refused anyway, and each entry is compared with each other.
const MOST_LOOKED_AT: usize = 1000;

/// Reads one baseline or a list of them. `names` are given where the notation tells them.
pub(super) fn read(node: &Node, names: Option<&Names>, findings: &mut Findings) -> Vec<BaselineFile> {
    let top = Place::top(node.line);
    let Value::List(items) = &node.value else {
        let notes = findings.notes.len();
        return read_one(node, top, names, false, findings)
            .map(|file| finish(file, notes, findings))
            .into_iter()
            .collect();
    };
    let mut files: Vec<BaselineFile> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let place = top.item(item.line, index);
        let notes = findings.notes.len();
        let Some(file) = read_one(item, place.clone(), names, true, findings) else { continue };
        if files.iter().any(|earlier| earlier.baseline.system == file.baseline.system) {
            let message = format!("there is a baseline for {} already", file.baseline.system.as_str());
            findings.mistake(&place, message);
        }
        files.push(finish(file, notes, findings));
    }
    files
}

/// Hands a baseline the notes that were made since it was begun.
fn finish(file: BaselineFile, since: usize, findings: &mut Findings) -> BaselineFile {
    let mut notes = findings.notes.split_off(since.min(findings.notes.len()));
    notes.sort();
    BaselineFile { notes, ..file }
}

fn read_one(
    node: &Node,
    place: Place,
    names: Option<&Names>,
    in_list: bool,
    findings: &mut Findings,
) -> Option<BaselineFile> {
    let mut section = Section::of(node, place, findings)?;
    if let Some(sentence) = other_document(&section) {
        findings.mistake(&section.place, sentence);
        return None;
    }
    let wrapping = "patchBaseline";
    if section.has(wrapping) {
        let (inner, place) = section.get(wrapping)?;
        for key in ["patchGroup", "patches", "enableApplicationPatches", "requiredFeatures"] {
            section.ignore(key);
        }
        section.finish(findings);
        return Document::new(Section::of(inner, place, findings)?, &CAMEL, in_list).read(findings);
    }
    let names = names.unwrap_or(if is_camel(&section) { &CAMEL } else { &PASCAL });
    Document::new(section, names, in_list).read(findings)
}

/// What to say of the answer to another question of the API.
fn other_document(section: &Section<'_>) -> Option<&'static str> {
    if section.has("BaselineIdentities") {
        return Some(
            "this is a list of baselines and holds none; save what `aws ssm get-patch-baseline` prints",
        );
    }
    if section.has("SnapshotDownloadUrl") {
        return Some("this says where a snapshot is and holds none; save what its SnapshotDownloadUrl gives");
    }
    let names_only = section.has("BaselineId") && !section.has(PASCAL.name) && !section.has(PASCAL.rules);
    names_only.then_some(
        "this names a baseline and does not hold it; save what `aws ssm get-patch-baseline --baseline-id` prints",
    )
}

fn is_camel(section: &Section<'_>) -> bool {
    section.keys().any(|key| key == CAMEL.name || key == CAMEL.rules || key == CAMEL.system)
        && ![PASCAL.name, PASCAL.rules, PASCAL.system].iter().any(|key| section.has(key))
}

/// One baseline while it is read.
struct Document<'n, 'a> {
    section: Section<'n>,
    names: &'a Names,
    in_list: bool,
}

impl<'n, 'a> Document<'n, 'a> {
    fn new(section: Section<'n>, names: &'a Names, in_list: bool) -> Self {
        Self { section, names, in_list }
    }

    fn read(mut self, findings: &mut Findings) -> Option<BaselineFile> {
        let names = self.names;
        // Everything else depends on it: without it there is nothing more to say.
        let system = self.system(findings)?;
        let name = self.name(findings);
        let id = self.section.text(names.id, findings).and_then(|id| within(id, text::ID, findings));
        let first_seen = self.section.boolean(names.delays_by_first_seen, findings);
        let delays_by_first_seen = first_seen.as_ref().is_some_and(|asked| asked.value);
        if let Some(asked) = first_seen.filter(|asked| asked.value && system.packaging() != Packaging::Deb) {
            findings.note(&asked.place, format!("the packages of {} have dates of release", system.as_str()));
        }
        let context = Context { names, system, delays_by_first_seen };
        let global_filters = self.global_filters(context, findings);
        let rules = rules::read(&mut self.section, context, findings);
        let approved = self.approved(system, findings);
        let rejected = self.rejected(system, findings);
        check_lists(&approved.1, &rejected.1, findings);
        if rules.is_empty() && approved.1.is_empty() {
            findings.note(
                &self.section.place,
                "no rule and no list approves anything: no update will be asked for",
            );
        }
        let description = self.text(names.description, text::DESCRIPTION, findings);
        let patch_groups = self.patch_groups(findings);
        let created_at = names.created.and_then(|key| self.instant(key, findings));
        let modified_at = names.modified.and_then(|key| self.instant(key, findings));
        let sources = self.sources(findings);
        self.windows_status(findings);
        names.ignored.iter().for_each(|key| self.section.ignore(key));
        self.section.finish(findings);
        let name = name.unwrap_or_default();
        let baseline = Baseline {
            id: id.as_ref().map_or_else(|| name.clone(), |id| id.value.clone()),
            name,
            system,
            global_filters,
            rules,
            approved: approved.0,
            rejected: rejected.0,
            delays_by_first_seen,
        };
        if let Some(id) = id.filter(|id| is_false_builtin(&id.value, &baseline)) {
            let message = format!(
                "{} is a predefined baseline, and this one says something else; give it an id and a name of its own",
                shown(&id.value)
            );
            findings.mistake(&id.place, message);
        }
        Some(BaselineFile {
            baseline,
            description: description.filter(|text| !text.is_empty()),
            patch_groups,
            created_at,
            modified_at,
            sources,
            notes: Vec::new(),
        })
    }

    fn system(&mut self, findings: &mut Findings) -> Option<OperatingSystem> {
        let key = self.names.system;
        if !self.section.has(key) {
            let message = if self.names.shape == PASCAL.shape {
                format!("there is no {key}, which Systems Manager takes for WINDOWS; add it, say \"DEBIAN\"")
            } else {
                format!("there is no {key}; add it, say \"DEBIAN\"")
            };
            findings.mistake(&self.section.place, message);
        }
        let text = self.section.text(key, findings)?;
        let other = OTHER_SYSTEMS.iter().find(|other| other.eq_ignore_ascii_case(&text.value));
        match other {
            Some(other) if self.in_list => {
                findings.note(&text.place, format!("a baseline for {other} is nothing to a Linux host"));
                None
            }
            Some(other) => {
                let message = format!("this is a baseline for {other}, and patchd patches Linux hosts alone");
                findings.mistake(&text.place, message);
                None
            }
            None => {
                let known = OperatingSystem::ALL.map(OperatingSystem::as_str);
                word(&text, &known, OperatingSystem::parse, findings)
            }
        }
    }

    fn name(&mut self, findings: &mut Findings) -> Option<String> {
        let key = self.names.name;
        if !self.section.has(key) {
            // Overrides have no names.
            if self.in_list {
                self.section.ignore(key);
                return Some("BaselineOverride".into());
            }
            findings.mistake(&self.section.place, format!("there is no {key}; a baseline needs one"));
        }
        self.text(key, text::NAME, findings)
    }

    fn text(&mut self, key: &'static str, limit: text::Limit, findings: &mut Findings) -> Option<String> {
        let text = self.section.text(key, findings)?;
        within(text, limit, findings).map(|text| text.value)
    }

    fn global_filters(&mut self, context: Context<'_>, findings: &mut Findings) -> Vec<Filter> {
        let key = self.names.global_filters;
        let listed = match self.names.shape {
            Shape::Flat { .. } => self.section.list(key, findings),
            Shape::Wrapped { filters, .. } => self.section.section(key, findings).and_then(|mut wrapped| {
                let listed = wrapped.list(filters, findings);
                wrapped.finish(findings);
                listed
            }),
        };
        listed.map_or_else(Vec::new, |(items, place)| {
            super::filters::read_list(items, &place, &self.names.rule, context.system, findings)
        })
    }

    fn approved(
        &mut self,
        system: OperatingSystem,
        findings: &mut Findings,
    ) -> (ApprovedList, Vec<Located<Pattern>>) {
        let listed = self.patterns(self.names.approved, system, findings);
        let level = read_level(&mut self.section, self.names.approved_level, findings);
        let non_security = self.section.boolean(self.names.approved_non_security, findings);
        let list = ApprovedList {
            patterns: listed.iter().map(|entry| entry.value.clone()).collect(),
            level,
            includes_non_security: non_security.is_some_and(|asked| asked.value),
        };
        (list, listed)
    }

    fn rejected(
        &mut self,
        system: OperatingSystem,
        findings: &mut Findings,
    ) -> (RejectedList, Vec<Located<Pattern>>) {
        let listed = self.patterns(self.names.rejected, system, findings);
        let text = self.section.text(self.names.rejected_action, findings);
        let known = RejectedAction::ALL.map(RejectedAction::as_str);
        let action = text.and_then(|text| word(&text, &known, RejectedAction::parse, findings));
        let list = RejectedList {
            patterns: listed.iter().map(|entry| entry.value.clone()).collect(),
            action: action.unwrap_or(RejectedAction::AllowAsDependency),
        };
        (list, listed)
    }

    fn patterns(
        &mut self,
        key: &'static str,
        system: OperatingSystem,
        findings: &mut Findings,
    ) -> Vec<Located<Pattern>> {
        let Some(texts) = self.section.texts(key, findings) else { return Vec::new() };
        check_length(&texts.place, texts.value.len(), MOST_LISTED, "entries", findings);
        let packaging = system.packaging();
        let mut patterns = Vec::new();
        for Located { value, place } in texts.value.into_iter().take(MOST_LOOKED_AT) {
            match Pattern::parse(&value, packaging) {
                Ok(pattern) => {
                    if pattern.is_in_vain(packaging) {
                        let message = format!(
                            "\"{pattern}\" matches nothing: the archives of {} name no such ids; name packages",
                            system.as_str()
                        );
                        findings.note(&place, message);
                    }
                    patterns.push(Located { value: pattern, place });
                }
                Err(reason) => {
                    findings
                        .mistake(&place, format!("\"{}\" is no entry of this list: {reason}", shown(&value)));
                }
            }
        }
        patterns
    }

    fn patch_groups(&mut self, findings: &mut Findings) -> Vec<String> {
        let Some(texts) = self.section.texts(self.names.patch_groups, findings) else { return Vec::new() };
        let groups = texts.value.into_iter().filter_map(|group| within(group, text::PATCH_GROUP, findings));
        groups.map(|group| group.value).collect()
    }

    /// A date for people alone: one that can't be read is no mistake.
    fn instant(&mut self, key: &'static str, findings: &mut Findings) -> Option<Timestamp> {
        let (node, place) = self.section.get(key)?;
        let instant = match &node.value {
            Value::Number(text) => epoch(text),
            Value::Text(text) => text.parse().ok().or_else(|| epoch(text)),
            _ => None,
        };
        if instant.is_none() {
            findings.note(&place, "it is no date that can be read, and is ignored");
        }
        instant
    }

    /// patchd takes packages from the host's own sources and moves no files of theirs.
    fn sources(&mut self, findings: &mut Findings) -> Vec<String> {
        let Some(names) = self.names.sources else { return Vec::new() };
        let Some((items, place)) = self.section.list(names.list, findings) else { return Vec::new() };
        check_length(&place, items.len(), MOST_SOURCES, "sources", findings);
        if !items.is_empty() {
            findings.note(
                &place,
                "patchd uses the sources that the host has and changes none of them; set these up on the host",
            );
        }
        let mut sources = Vec::new();
        for (node, place) in items {
            let Some(mut section) = Section::of(node, place, findings) else { continue };
            let name = section.text(names.name, findings);
            sources.extend(
                name.and_then(|name| within(name, text::SOURCE_NAME, findings)).map(|name| name.value),
            );
            if let Some(products) = section.texts(names.products, findings) {
                check_length(&products.place, products.value.len(), MOST_SOURCES, "products", findings);
                for product in products.value {
                    within(product, text::SOURCE_PRODUCT, findings);
                }
            }
            if let Some(configuration) = section.text(names.configuration, findings) {
                within(configuration, text::SOURCE_CONFIGURATION, findings);
            }
            section.finish(findings);
        }
        sources
    }

    fn windows_status(&mut self, findings: &mut Findings) {
        let Some(text) = self.names.windows_status.and_then(|key| self.section.text(key, findings)) else {
            return;
        };
        let known = ["COMPLIANT", "NON_COMPLIANT"];
        if known.contains(&text.value.as_str()) {
            findings.note(&text.place, "it has a meaning on WINDOWS alone");
        } else {
            findings.mistake(&text.place, unknown_word(&text.value, &known));
        }
    }
}

/// Reports name a baseline by its id, so an id of ours is no other's.
fn is_false_builtin(id: &str, baseline: &Baseline) -> bool {
    id.starts_with("builtin:") && Baseline::builtin_by_id(id).as_ref() != Some(baseline)
}

/// Seconds since 1970, with a fraction or without. What is finer than a millisecond comes of floating points.
fn epoch(text: &str) -> Option<Timestamp> {
    let seconds: f64 = text.parse().ok()?;
    let span = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(span).ok()?.round(jiff::Unit::Millisecond).ok()
}

/// What is on both lists is a contradiction; what is twice on one is there once too often.
fn check_lists(approved: &[Located<Pattern>], rejected: &[Located<Pattern>], findings: &mut Findings) {
    let is_same = |a: &Pattern, b: &Pattern| a.as_str().eq_ignore_ascii_case(b.as_str());
    for list in [approved, rejected] {
        for (at, entry) in list.iter().enumerate() {
            if list.iter().take(at).any(|earlier| is_same(&earlier.value, &entry.value)) {
                findings.note(&entry.place, format!("\"{}\" is there already, further up", entry.value));
            }
        }
    }
    for entry in rejected {
        if let Some(other) = approved.iter().find(|other| is_same(&other.value, &entry.value)) {
            let message = format!(
                "\"{}\" is approved by {} and rejected here; keep one",
                entry.value, other.place.path
            );
            findings.mistake(&entry.place, message);
        }
    }
}
