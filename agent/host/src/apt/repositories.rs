//! The host's indexes with what their Release files say, and the lists on disk that belong to them.
//!
//! No list is opened here. A source whose list is missing, and a repository that is too old, too new or unsigned, is a
//! problem in the report: such lists still count, as they do for apt.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use patchd_core::offer::{Repository, RepositoryId, Trust};
use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::apt::conf::Conf;
use crate::apt::list_files::{
    Compression, file_name, find_stored, index_uri, repository_uri, site, strip_compression, without_secrets,
};
use crate::apt::preferences::Facts;
use crate::apt::release::{self, MAX_RELEASE, Release};
use crate::apt::sources::{Source, SourceSettings};
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// The most files that a lists directory may hold.
const MAX_LISTS: usize = 100_000;

/// How far ahead of ours a repository's clock may be, as for apt.
const MAX_AHEAD: SignedDuration = SignedDuration::from_secs(10);

/// One list to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    pub repository: RepositoryId,
    pub architecture: String,
    /// The file in the lists directory, with its compression.
    pub file: String,
    pub compression: Compression,
    /// What the Release file says that it is long, decompressed.
    pub listed_size: Option<u64>,
    pub not_automatic: bool,
    pub but_automatic_upgrades: bool,
}

/// Everything that can be known of the sources without opening a list.
#[derive(Debug, Default)]
pub struct Repositories {
    pub repositories: Vec<Repository>,
    pub lists: Vec<List>,
    /// The directory of the lists, as a name under the root.
    pub directory: String,
    pub refreshed_at: Option<Timestamp>,
}

impl Repositories {
    pub fn facts<'a>(&'a self, list: &'a List) -> Facts<'a> {
        let Some(repository) = self.repositories.get(usize::from(list.repository.0)) else {
            return Facts::default();
        };
        Facts {
            is_status_file: false,
            site: &repository.site,
            component: &repository.component,
            architecture: &list.architecture,
            origin: repository.origin.as_deref(),
            label: repository.label.as_deref(),
            suite: repository.suite.as_deref(),
            codename: repository.codename.as_deref(),
            version: repository.version.as_deref(),
        }
    }
}

/// What the caller knows of the host.
#[derive(Debug)]
pub struct Host<'a> {
    pub root: &'a Root,
    pub conf: &'a Conf,
    pub architectures: &'a [String],
    pub now: Timestamp,
    pub max_list_age: SignedDuration,
}

/// Joins the sources with the lists on disk. Without any sources file, the lists on disk are the sources.
pub fn find(host: &Host<'_>, sources: Option<Vec<Source>>, problems: &mut ProblemList) -> Repositories {
    let directory = host.conf.path("Dir::State::lists").trim_end_matches('/').to_owned();
    let mut finder = Finder {
        host,
        names: HashSet::new(),
        found: Repositories { directory, ..Repositories::default() },
        problems,
    };
    finder.read_names();
    let sources = match sources {
        Some(sources) => sources,
        None => finder.sources_of_lists(),
    };
    let mut rest = sources.as_slice();
    while let Some(first) = rest.first() {
        let same = |source: &&Source| source.uri == first.uri && source.distribution == first.distribution;
        let count = rest.iter().take_while(same).count();
        let (group, later) = rest.split_at(count);
        finder.add_release(group);
        rest = later;
    }
    finder.judge_age();
    finder.found
}

struct Finder<'a> {
    host: &'a Host<'a>,
    names: HashSet<String>,
    found: Repositories,
    problems: &'a mut ProblemList,
}

/// The Release file of one repository, as far as it is on disk.
struct OnDisk {
    release: Release,
    text: Vec<u8>,
    /// The file's name, or of none the address.
    place: String,
    is_signed: bool,
    is_there: bool,
}

impl Finder<'_> {
    fn read_names(&mut self) {
        match read::list(self.host.root, &self.found.directory, MAX_LISTS) {
            Ok(names) => self.names = names.into_iter().filter_map(|name| name.into_string().ok()).collect(),
            Err(error) if error.is_absent() => {}
            Err(error) => self.problems.push(error.to_problem(Weight::Incomplete)),
        }
        let is_list = |name: &String| strip_compression(name).ends_with("_Packages");
        if !self.names.iter().any(is_list) {
            let message =
                "there are no package lists: what is missing on this host can't be known; run apt-get update";
            let place = self.host.root.path(&self.found.directory);
            self.problems.push(Problem::new(
                ProblemKind::NotRefreshed,
                Weight::Incomplete,
                place.to_string_lossy(),
                message,
            ));
        }
    }

    /// The sources that a directory of lists must have come from.
    fn sources_of_lists(&mut self) -> Vec<Source> {
        let mut lists: Vec<_> = self.names.iter().map(|name| strip_compression(name)).collect();
        lists.retain(|name| name.ends_with("_Packages"));
        lists.sort_unstable();
        lists.dedup();
        if !lists.is_empty() {
            let message = "this root names no package sources; every list that lies here was taken for one";
            let place = self.host.root.path(&self.found.directory);
            self.problems.push(Problem::new(
                ProblemKind::UnknownFeature,
                Weight::Notice,
                place.to_string_lossy(),
                message,
            ));
        }
        let mut sources: Vec<Source> = Vec::new();
        for name in lists {
            let (uri, distribution, component, architecture) = self.split_list_name(name);
            let architectures = match architecture {
                Some(architecture) => vec![architecture],
                None => self.host.architectures.first().cloned().into_iter().collect(),
            };
            let same = |known: &&mut Source| {
                known.uri == uri && known.distribution == distribution && known.component == component
            };
            match sources.iter_mut().find(same) {
                Some(known) => known.architectures.extend(architectures),
                None => sources.push(Source {
                    uri,
                    distribution,
                    component,
                    architectures,
                    settings: SourceSettings::default(),
                    place: name.to_owned(),
                    line: 0,
                }),
            }
        }
        sources
    }

    /// Address, distribution, component and architecture of a list, from its name. A `_` can stand for a `/` in each of
    /// them: the Release file beside it tells where the distribution ends.
    fn split_list_name(&self, name: &str) -> (String, String, String, Option<String>) {
        let address = |part: &str| match part.strip_prefix('_') {
            Some(path) => format!("file:/{}/", path.replace('_', "/")),
            None => format!("http://{}/", part.replace('_', "/")),
        };
        let inner = name.strip_suffix("_Packages").unwrap_or(name);
        let split = inner.split_once("_dists_").and_then(|(base, rest)| {
            let (rest, architecture) = rest.rsplit_once("_binary-")?;
            let ends = rest.match_indices('_').map(|(at, _)| at);
            let has_release = |at: &usize| {
                let prefix = format!("{base}_dists_{}", rest.get(..*at).unwrap_or_default());
                ["InRelease", "Release"].iter().any(|file| self.names.contains(&format!("{prefix}_{file}")))
            };
            let end = ends.clone().rfind(has_release).or_else(|| ends.clone().next_back())?;
            let (distribution, component) = rest.split_at_checked(end)?;
            Some((base, distribution, component.trim_start_matches('_'), architecture))
        });
        match split {
            Some((base, distribution, component, architecture)) => (
                address(base),
                distribution.replace('_', "/"),
                component.replace('_', "/"),
                Some(architecture.to_owned()),
            ),
            None => (address(inner), "/".to_owned(), String::new(), None),
        }
    }

    fn add_release(&mut self, group: &[Source]) {
        let Some(first) = group.first() else {
            return;
        };
        let on_disk = self.read_release(first);
        let trust = match (on_disk.is_signed, first.settings.trusted) {
            (_, Some(true)) if !on_disk.is_signed => Trust::MarkedTrusted,
            (true, None | Some(true)) => Trust::Signed,
            _ => Trust::Untrusted,
        };
        let valid_until = self.valid_until(&on_disk.release, &first.settings);
        let before = self.found.lists.len();
        for source in group {
            self.add_source(source, &on_disk, trust, valid_until);
        }
        if before < self.found.lists.len() {
            self.judge(&on_disk, trust, valid_until);
        }
    }

    fn read_release(&mut self, source: &Source) -> OnDisk {
        let base = file_name(&repository_uri(&source.uri, &source.distribution));
        let is_signed =
            ["InRelease", "Release.gpg"].iter().any(|file| self.names.contains(&format!("{base}{file}")));
        let mut on_disk = OnDisk {
            release: Release::default(),
            text: Vec::new(),
            place: String::new(),
            is_signed,
            is_there: false,
        };
        let file = ["InRelease", "Release"].iter().map(|file| format!("{base}{file}"));
        let Some(file) = file.into_iter().find(|file| self.names.contains(file)) else {
            return on_disk;
        };
        let name = format!("{}/{file}", self.found.directory);
        on_disk.is_there = true;
        on_disk.place = self.host.root.path(&name).to_string_lossy().into_owned();
        let content = read::open(self.host.root, &name).and_then(|file| {
            let modified = file.metadata().modified().ok().and_then(|time| Timestamp::try_from(time).ok());
            file.read_all(MAX_RELEASE).map(|text| (text, modified))
        });
        match content {
            Ok((text, modified)) => {
                let (release, troubles) = release::parse(&text);
                for trouble in troubles {
                    self.problems.push(Problem::new(
                        ProblemKind::Malformed,
                        Weight::Incomplete,
                        &on_disk.place,
                        trouble,
                    ));
                }
                self.found.refreshed_at = self.found.refreshed_at.max(modified);
                on_disk.release = release;
                on_disk.text = text;
            }
            Err(error) => self.problems.push(error.to_problem(Weight::Incomplete)),
        }
        on_disk
    }

    fn add_source(
        &mut self,
        source: &Source,
        on_disk: &OnDisk,
        trust: Trust,
        valid_until: Option<Timestamp>,
    ) {
        let Ok(id) = u16::try_from(self.found.repositories.len()) else {
            return;
        };
        let repository = RepositoryId(id);
        let before = self.found.lists.len();
        let mut has_expected = false;
        let has_own_all = !source.component.is_empty() && on_disk.release.has_index_of_all();
        let implicit = has_own_all.then(|| "all".to_owned());
        // A flat repository has one index for all architectures.
        let shown = if source.component.is_empty() { 1 } else { source.architectures.len() };
        for architecture in source.architectures.iter().take(shown).cloned().chain(implicit) {
            let name =
                file_name(&index_uri(&source.uri, &source.distribution, &source.component, &architecture));
            let in_release = match source.component.as_str() {
                "" => "Packages".to_owned(),
                component => format!("{component}/binary-{architecture}/Packages"),
            };
            let listed_size = release::listed_size(&on_disk.text, &in_release);
            match find_stored(&self.names, &name) {
                Some((file, compression)) => {
                    if self.found.lists.iter().any(|known| known.file == file) {
                        continue;
                    }
                    self.found.lists.push(List {
                        repository,
                        architecture,
                        file,
                        compression,
                        listed_size,
                        not_automatic: on_disk.release.not_automatic,
                        but_automatic_upgrades: on_disk.release.but_automatic_upgrades,
                    });
                }
                // An index of nothing is not fetched, and one that the repository hasn't is none that is missing.
                None => has_expected |= listed_size.is_some_and(|size| size != 0),
            }
        }
        let has_list = before < self.found.lists.len();
        if has_expected || (!has_list && !on_disk.is_there) {
            self.tell_missing(source);
        }
        if has_list {
            self.found.repositories.push(to_repository(source, &on_disk.release, trust, valid_until));
        }
    }

    fn tell_missing(&mut self, source: &Source) {
        let name = format!("{} {} {}", without_secrets(&source.uri), source.distribution, source.component);
        let message = format!(
            "{} is a package source of this host, but its list was never fetched; run apt-get update",
            name.trim_end()
        );
        self.problems.push(
            Problem::new(ProblemKind::NotRefreshed, Weight::Incomplete, &source.place, message)
                .at_line(source.line),
        );
    }

    /// The end of validity after the administrator's own limits.
    fn valid_until(&self, release: &Release, settings: &SourceSettings) -> Option<Timestamp> {
        let conf = self.host.conf;
        let of_conf = |name: &str| {
            let label = release.label.as_ref().and_then(|label| conf.seconds(&format!("{name}::{label}")));
            label.or_else(|| conf.seconds(name))
        };
        let min = settings.min_valid_seconds.or_else(|| of_conf("Acquire::Min-ValidTime"));
        let max = settings.max_valid_seconds.or_else(|| of_conf("Acquire::Max-ValidTime"));
        let after =
            |seconds: Option<i64>| release.date?.checked_add(SignedDuration::from_secs(seconds?)).ok();
        let published = match (release.valid_until, after(min)) {
            (Some(published), Some(at_least)) => Some(published.max(at_least)),
            (published, _) => published,
        };
        [published, after(max)].into_iter().flatten().min()
    }

    fn judge(&mut self, on_disk: &OnDisk, trust: Trust, valid_until: Option<Timestamp>) {
        let now = self.host.now;
        if let Some(until) = valid_until.filter(|&until| until < now) {
            let message = format!(
                "the list was valid until {until}; its source is stale, or the host has not refreshed it"
            );
            self.problems.push(Problem::new(
                ProblemKind::Expired,
                Weight::Incomplete,
                &on_disk.place,
                message,
            ));
        }
        let is_ahead = |date: &Timestamp| MAX_AHEAD < date.duration_since(now);
        if let Some(date) = on_disk.release.date.filter(is_ahead) {
            let message =
                format!("the list says that it was made at {date}, and here it is {now}: a clock is wrong");
            self.problems.push(Problem::new(
                ProblemKind::NotYetValid,
                Weight::Incomplete,
                &on_disk.place,
                message,
            ));
        }
        if trust == Trust::Untrusted {
            let place = match (&on_disk.place, self.found.repositories.last()) {
                (place, Some(repository)) if place.is_empty() => &repository.uri,
                (place, _) => place,
            };
            let message = "the list is not signed: apt installs nothing from it unattended, and it counts for no security";
            self.problems.push(Problem::new(ProblemKind::Unsigned, Weight::Notice, place, message));
        }
    }

    /// When the lists were last fetched, by the newest trace of it, and whether that is too long ago.
    fn judge_age(&mut self) {
        let directory = &self.found.directory;
        let traces = [
            directory.clone(),
            format!("{directory}/partial"),
            "/var/lib/apt/periodic/update-success-stamp".to_owned(),
        ];
        for trace in traces {
            let modified =
                self.host.root.resolve(&trace).and_then(std::fs::metadata).and_then(|data| data.modified());
            let modified = modified.ok().and_then(|time| Timestamp::try_from(time).ok());
            self.found.refreshed_at = self.found.refreshed_at.max(modified);
        }
        if self.found.lists.is_empty() {
            self.found.refreshed_at = None;
        }
        let Some(refreshed_at) = self.found.refreshed_at else {
            return;
        };
        if self.host.max_list_age < self.host.now.duration_since(refreshed_at) {
            let days = self.host.now.duration_since(refreshed_at).as_hours() / 24;
            let message = format!(
                "the lists were last refreshed at {refreshed_at}, {days} days ago; run apt-get update"
            );
            let place = self.host.root.path(&self.found.directory);
            self.problems.push(Problem::new(
                ProblemKind::Stale,
                Weight::Incomplete,
                place.to_string_lossy(),
                message,
            ));
        }
    }
}

fn to_repository(
    source: &Source,
    release: &Release,
    trust: Trust,
    valid_until: Option<Timestamp>,
) -> Repository {
    let site = site(&source.uri).to_owned();
    let is_security_suite =
        release.suite.as_ref().is_some_and(|suite| suite.to_ascii_lowercase().contains("security"));
    let is_security =
        trust != Trust::Untrusted && (is_security_suite || site.contains("security.debian.org"));
    Repository {
        uri: without_secrets(&source.uri),
        site,
        distribution: source.distribution.clone(),
        component: source.component.clone(),
        origin: release.origin.clone(),
        label: release.label.clone(),
        suite: release.suite.clone(),
        codename: release.codename.clone(),
        version: release.version.clone(),
        date: release.date,
        valid_until,
        trust,
        is_security,
    }
}
