//! The host's package sources (sources.list(5)): one-line and deb822 style, as apt reads them. It fetches nothing and
//! does not look for the lists: that is `list_files`.

use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::apt::conf::{Conf, part_names};
use crate::apt::source_entry::{Entry, parse_line, parse_stanza};
use crate::deb822::StanzaReader;
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// The longest sources file, and the most indexes of one host: a mistake must not grow without bound.
const MAX_FILE: u64 = 4 << 20;
const MAX_INDEXES: usize = 4096;

/// One index of binary packages that the host is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// With a `/` at its end, and with user and password if they are written there.
    pub uri: String,
    /// A name below `dists/`, or a path with `/` at its end: a flat repository.
    pub distribution: String,
    /// Empty for a flat repository.
    pub component: String,
    pub architectures: Vec<String>,
    pub settings: SourceSettings,
    /// The file and line that name it.
    pub place: String,
    pub line: u64,
}

/// What is said of a source beside its address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceSettings {
    pub trusted: Option<bool>,
    pub min_valid_seconds: Option<i64>,
    pub max_valid_seconds: Option<i64>,
}

/// All sources of a host, and whether it has any file to name them in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    pub sources: Vec<Source>,
    pub has_files: bool,
    /// What the files use that this reader does not know.
    pub unknown: Vec<String>,
}

/// Reads every sources file under `root`.
pub fn read_sources(
    root: &Root,
    conf: &Conf,
    architectures: &[String],
    problems: &mut ProblemList,
) -> Sources {
    let mut reader = Reader { architectures, sources: Sources::default(), problems };
    let main = conf.path("Dir::Etc::sourcelist");
    if !main.is_empty() {
        reader.read_file(root, &main);
    }
    let parts = conf.path("Dir::Etc::sourceparts");
    for name in part_names(root, &parts, &["list", "sources"], reader.problems) {
        reader.read_file(root, &format!("{}/{name}", parts.trim_end_matches('/')));
    }
    reader.sources
}

/// Reads the text of one sources file; `is_deb822` tells its style.
pub fn parse(text: &[u8], place: &str, is_deb822: bool, architectures: &[String]) -> (Sources, Vec<Problem>) {
    let mut problems = ProblemList::new(place);
    let mut reader = Reader { architectures, sources: Sources::default(), problems: &mut problems };
    reader.parse(text, place, is_deb822);
    (reader.sources, problems.into_problems())
}

struct Reader<'a> {
    architectures: &'a [String],
    sources: Sources,
    problems: &'a mut ProblemList,
}

impl Reader<'_> {
    fn read_file(&mut self, root: &Root, name: &str) {
        match read::read_optional(root, name, MAX_FILE) {
            Ok(None) => {}
            Ok(Some(text)) => {
                self.sources.has_files = true;
                self.parse(&text, name, name.ends_with(".sources"));
            }
            Err(error) => {
                self.sources.has_files = true;
                self.problems.push(error.to_problem(Weight::Incomplete));
            }
        }
    }

    fn parse(&mut self, text: &[u8], place: &str, is_deb822: bool) {
        if is_deb822 { self.parse_stanzas(text, place) } else { self.parse_lines(text, place) }
    }

    fn refuse(&mut self, place: &str, line: u64, reason: &str) {
        let message = format!("{reason}; apt refuses to work until this is repaired");
        self.problems
            .push(Problem::new(ProblemKind::Malformed, Weight::Incomplete, place, message).at_line(line));
    }

    fn parse_lines(&mut self, text: &[u8], place: &str) {
        for (at, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            let line = String::from_utf8_lossy(line);
            match parse_line(&line) {
                Ok(None) => {}
                Ok(Some(entry)) => self.add(Entry { line: at, ..entry }, place),
                Err(reason) => self.refuse(place, at, reason),
            }
        }
    }

    fn parse_stanzas(&mut self, text: &[u8], place: &str) {
        let mut reader = StanzaReader::new(text);
        // Reading from memory can't fail.
        while let Ok(Some(stanza)) = reader.next_stanza() {
            let line = stanza.line;
            match parse_stanza(&stanza) {
                Ok(None) => {}
                Ok(Some(entry)) => self.add(Entry { line, ..entry }, place),
                Err(reason) => self.refuse(place, line, reason),
            }
        }
    }

    /// Multiplies an entry out into its indexes.
    fn add(&mut self, entry: Entry, place: &str) {
        let native = self.architectures.first().map_or("", String::as_str);
        let architectures = entry.architectures(self.architectures);
        let settings = match entry.settings() {
            Ok(settings) => settings,
            Err(reason) => return self.refuse(place, entry.line, reason),
        };
        for (name, ..) in &entry.options {
            if ["include", "exclude", "snapshot", "inrelease-path", "target"].contains(&name.as_str()) {
                self.sources.unknown.push(format!("the option {name} in {place}"));
            }
        }
        for uri in &entry.uris {
            let mut uri = uri.replace("$(ARCH)", native);
            if !uri.contains(':') {
                return self.refuse(place, entry.line, "an address has no scheme");
            }
            if !uri.ends_with('/') {
                uri.push('/');
            }
            for distribution in &entry.distributions {
                let is_flat = distribution.ends_with('/');
                let distribution =
                    if is_flat { distribution.replace("$(ARCH)", native) } else { distribution.clone() };
                match (is_flat, entry.components.is_empty()) {
                    (true, false) => {
                        return self.refuse(
                            place,
                            entry.line,
                            "a suite that ends in / can have no components",
                        );
                    }
                    (false, true) => return self.refuse(place, entry.line, "a suite has no components"),
                    _ => {}
                }
                let components: &[String] = if is_flat { &[String::new()] } else { &entry.components };
                for component in components {
                    self.push(Source {
                        uri: uri.clone(),
                        distribution: distribution.clone(),
                        component: component.clone(),
                        architectures: architectures.clone(),
                        settings,
                        place: place.to_owned(),
                        line: entry.line,
                    });
                }
            }
        }
    }

    /// Keeps the indexes of one repository together, in the place of its first one, as apt does.
    fn push(&mut self, source: Source) {
        let sources = &mut self.sources.sources;
        let is_same_release =
            |known: &Source| known.uri == source.uri && known.distribution == source.distribution;
        if let Some(known) = sources.iter().find(|known| is_same_release(known)) {
            if known.settings.trusted != source.settings.trusted {
                let reason = format!("it is trusted differently in {} line {}", known.place, known.line);
                return self.refuse(&source.place, source.line, &reason);
            }
            let twin = sources
                .iter_mut()
                .find(|known| is_same_release(known) && known.component == source.component);
            if let Some(twin) = twin {
                let fresh = source.architectures.iter().filter(|name| !twin.architectures.contains(name));
                let fresh: Vec<_> = fresh.cloned().collect();
                if fresh.is_empty() {
                    let message = format!("this index is also named in {} line {}", twin.place, twin.line);
                    self.problems.push(
                        Problem::new(ProblemKind::Duplicate, Weight::Notice, &source.place, message)
                            .at_line(source.line),
                    );
                }
                twin.architectures.extend(fresh);
                return;
            }
        }
        if MAX_INDEXES <= sources.len() {
            let message = format!("the host has more than {MAX_INDEXES} indexes; the rest is not read");
            self.problems.push(Problem::new(
                ProblemKind::TooLarge,
                Weight::Incomplete,
                &source.place,
                message,
            ));
            return;
        }
        let after = sources.iter().rposition(is_same_release);
        sources.insert(after.map_or(sources.len(), |at| at + 1), source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architectures() -> Vec<String> {
        vec!["amd64".to_owned(), "i386".to_owned()]
    }

    fn shown(text: &str, is_deb822: bool) -> Vec<String> {
        let (sources, problems) = parse(text.as_bytes(), "sources", is_deb822, &architectures());
        assert_eq!(problems, []);
        let show = |source: Source| {
            let trusted =
                source.settings.trusted.map(|trusted| format!(" trusted={trusted}")).unwrap_or_default();
            let architectures = source.architectures.join(",");
            format!("{} {} {} [{architectures}]{trusted}", source.uri, source.distribution, source.component)
        };
        sources.sources.into_iter().map(show).collect()
    }

    #[test]
    fn lines_are_multiplied_out_by_their_components() {
        let text = "# deb http://x y z\n\
            deb http://example.org/debian stable main contrib # here\n\
            deb-src http://example.org/debian stable main\n\
            deb [ arch=amd64 trusted=yes signed-by=/usr/share/k#1.gpg ] http://example.org/$(ARCH)/ ./\n\
            deb [arch-=i386] \"http://example.org/a b\" x/updates main\n";
        assert_eq!(
            shown(text, false),
            [
                "http://example.org/debian/ stable main [amd64,i386]",
                "http://example.org/debian/ stable contrib [amd64,i386]",
                "http://example.org/amd64/ ./  [amd64] trusted=true",
                "http://example.org/a b/ x/updates main [amd64]",
            ]
        );
    }

    #[test]
    fn stanzas_are_a_cross_product() {
        let text = "Types: deb deb-src\nURIs: http://example.org/a http://example.org/b\nSuites: one two\n\
            Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n# a comment\n\
            Architectures-Remove: i386\n\n\
            Enabled: no\nTypes: deb\nURIs: http://example.org/c\nSuites: x\nComponents: y\n\n\
            # only a comment\n\n\
            Types: deb\nURIs: file:/srv/flat\nSuites: ./\nTrusted: yes\n";
        assert_eq!(
            shown(text, true),
            [
                "http://example.org/a/ one main [amd64]",
                "http://example.org/a/ two main [amd64]",
                "http://example.org/b/ one main [amd64]",
                "http://example.org/b/ two main [amd64]",
                "file:/srv/flat/ ./  [amd64,i386] trusted=true",
            ]
        );
    }

    #[test]
    fn indexes_of_one_repository_stay_together_and_twins_are_told() {
        let text = "deb http://example.org/a x main\ndeb http://example.org/b x main\n\
            deb http://example.org/a x contrib\ndeb http://example.org/a x main\n";
        let (sources, problems) = parse(text.as_bytes(), "sources", false, &architectures());
        let names: Vec<_> =
            sources.sources.iter().map(|one| (one.uri.as_str(), one.component.as_str())).collect();
        assert_eq!(
            names,
            [
                ("http://example.org/a/", "main"),
                ("http://example.org/a/", "contrib"),
                ("http://example.org/b/", "main")
            ]
        );
        assert_eq!(problems.len(), 1);
        assert_eq!((problems[0].kind, problems[0].line), (ProblemKind::Duplicate, Some(4)));
    }

    #[test]
    fn what_apt_refuses_is_named_by_its_line() {
        for text in [
            "deb",
            "rpm http://x y z",
            "deb http://x y",
            "deb [arch=amd64 http://x y z",
            "deb x y z",
            "deb http://x ./ z",
            "deb http://x y \"\"",
            "deb \"\" y z",
            "deb http://x \"y z",
        ] {
            let (_, problems) = parse(format!("\n{text}\n").as_bytes(), "sources", false, &architectures());
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!((problems[0].kind, problems[0].line), (ProblemKind::Malformed, Some(2)), "{text}");
        }
        for text in ["URIs: http://x\n", "Types: deb\nSuites: x\n", "Types: rpm\nURIs: http://x\nSuites: x\n"]
        {
            let (_, problems) = parse(text.as_bytes(), "sources", true, &architectures());
            assert_eq!(problems.len(), 1, "{text}");
        }
    }

    #[test]
    fn an_option_that_filters_packages_is_told() {
        let (sources, _) = parse(b"deb [include=bash] http://x y z", "sources", false, &architectures());
        assert_eq!(sources.unknown, ["the option include in sources"]);
    }
}
