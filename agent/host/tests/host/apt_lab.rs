//! Roots with toy repositories whose lists lie there as apt would have fetched them, and the real apt pointed at them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use jiff::Timestamp;
use patchd_core::inventory::Inventory;
use patchd_core::offer::{KeptBack, Method, Offers};
use patchd_core::plan::PlannedChange;
use patchd_host::apt::native_apt::{full_name, parse_policy};
use patchd_host::apt::simulation::Simulation;
use patchd_host::apt::{Options, read_offers};
use patchd_host::dpkg::read_inventory;
use patchd_host::root::Root;

use crate::support::{Answer, put, run_with};

/// A moment after everything that the toy repositories say.
pub(crate) const NOW: &str = "2025-06-15T12:00:00Z";

/// A root that is filled by its methods.
pub(crate) struct Lab {
    _directory: tempfile::TempDir,
    pub(crate) root: Root,
    architectures: Vec<&'static str>,
}

/// One repository of a suite, with one component.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub(crate) uri: &'static str,
    pub(crate) distribution: &'static str,
    pub(crate) component: &'static str,
    pub(crate) release: String,
    /// Packages in the short form of `stanzas`.
    pub(crate) packages: String,
    pub(crate) compression: &'static str,
    pub(crate) is_signed: bool,
}

impl Repo {
    /// A signed repository of this suite at an address of its own.
    pub(crate) fn new(suite: &'static str, packages: impl Into<String>) -> Self {
        let release = format!(
            "Origin: Toy\nLabel: Toy-{suite}\nSuite: {suite}\nCodename: code-{suite}\nVersion: 12.1\n"
        );
        Self {
            uri: "http://example.org/toy/",
            distribution: suite,
            component: "main",
            release,
            packages: packages.into(),
            compression: "",
            is_signed: true,
        }
    }

    pub(crate) fn at(mut self, uri: &'static str) -> Self {
        self.uri = uri;
        self
    }

    pub(crate) fn says(mut self, release: &str) -> Self {
        self.release.push_str(release);
        self.release.push('\n');
        self
    }

    pub(crate) fn flat(mut self) -> Self {
        self.distribution = "./";
        self.component = "";
        self
    }

    pub(crate) fn unsigned(mut self) -> Self {
        self.is_signed = false;
        self
    }

    pub(crate) fn compressed(mut self, suffix: &'static str) -> Self {
        self.compression = suffix;
        self
    }

    fn base(&self) -> String {
        use patchd_host::apt::list_files::{file_name, repository_uri};
        file_name(&repository_uri(self.uri, self.distribution))
    }

    fn source_line(&self) -> String {
        format!("deb {} {} {}\n", self.uri, self.distribution, self.component)
    }
}

/// Stanzas from lines of `name version; Field: value; …`. What isn't said is made up, and the same for the same line.
pub(crate) fn stanzas(short: &str, is_status: bool) -> String {
    let mut text = String::new();
    for line in short.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split("; ");
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let mut fields: Vec<(&str, String)> = vec![("Package", name.to_owned())];
        if is_status {
            fields.push(("Status", "install ok installed".to_owned()));
        }
        fields.extend([
            ("Version", version.to_owned()),
            ("Architecture", "amd64".to_owned()),
            ("Maintainer", "Toy <toy@example.org>".to_owned()),
            ("Description", "toy".to_owned()),
            ("Installed-Size", "10".to_owned()),
        ]);
        if !is_status {
            let digest =
                line.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
            fields.push(("Filename", format!("pool/{name}_{version}.deb")));
            fields.push(("Size", "1000".to_owned()));
            fields.push(("SHA256", format!("{digest:064x}")));
        }
        for part in parts {
            let (key, value) = part.split_once(": ").unwrap();
            match fields.iter_mut().find(|(known, _)| *known == key) {
                Some(known) => known.1 = value.to_owned(),
                None => fields.push((key, value.to_owned())),
            }
        }
        for (key, value) in fields {
            text.push_str(&format!("{key}: {value}\n"));
        }
        text.push('\n');
    }
    text
}

impl Lab {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        for name in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "etc/apt/trusted.gpg.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "var/log/apt",
        ] {
            std::fs::create_dir_all(root.path(name)).unwrap();
        }
        put(&root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        put(&root, "var/lib/dpkg/arch", "amd64\n");
        Self { _directory: directory, root, architectures: vec!["amd64"] }
    }

    pub(crate) fn with_architecture(mut self, name: &'static str) -> Self {
        self.architectures.push(name);
        put(&self.root, "var/lib/dpkg/arch", self.architectures.join("\n") + "\n");
        self
    }

    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        put(&self.root, name, content);
        self
    }

    pub(crate) fn installed(self, short: &str) -> Self {
        let text = stanzas(short, true);
        self.file("var/lib/dpkg/status", text)
    }

    pub(crate) fn preferences(self, text: &str) -> Self {
        self.file("etc/apt/preferences.d/toy", text)
    }

    /// Adds a repository: its line in the sources, its Release file and its list.
    pub(crate) fn repo(self, repo: &Repo) -> Self {
        let known = std::fs::read_to_string(self.root.path("etc/apt/sources.list")).unwrap_or_default();
        put(&self.root, "etc/apt/sources.list", known + &repo.source_line());
        self.lists(repo)
    }

    /// Adds the files of a repository without naming it in the sources.
    pub(crate) fn lists(self, repo: &Repo) -> Self {
        let base = repo.base();
        let date = "Date: Sun, 01 Jun 2025 00:00:00 UTC\nArchitectures: amd64 i386\n";
        let file = if repo.is_signed { "InRelease" } else { "Release" };
        put(&self.root, &format!("var/lib/apt/lists/{base}{file}"), repo.release.clone() + date);
        let text = stanzas(&repo.packages, false);
        // A stanza of a foreign architecture belongs into that one's list.
        for architecture in &self.architectures {
            let own: Vec<&str> = text
                .split_inclusive("\n\n")
                .filter(|stanza| {
                    let is_of = |name: &str| stanza.contains(&format!("\nArchitecture: {name}\n"));
                    is_of(architecture) || is_of("all") || repo.component.is_empty()
                })
                .collect();
            let name = match repo.component {
                "" => format!("{base}Packages"),
                component => format!("{base}{component}_binary-{architecture}_Packages"),
            };
            let packed = compress(own.concat().as_bytes(), repo.compression);
            put(&self.root, &format!("var/lib/apt/lists/{name}{}", repo.compression), packed);
        }
        self
    }

    pub(crate) fn inventory(&self) -> Inventory {
        read_inventory(&self.root)
    }

    pub(crate) fn offers(&self, asks_apt: bool) -> Offers {
        // The lists' age is that of the files: far from any fixed moment.
        let options = Options { asks_apt, max_list_age: jiff::SignedDuration::MAX, ..Options::default() };
        let offers = read_offers(&self.root, &self.inventory(), NOW.parse::<Timestamp>().unwrap(), &options);
        // Whatever is in the lists: what was kept of them gives the same answer, when it is made and when it is used.
        let extracts = tempfile::tempdir().unwrap();
        let alone = self.offers_with(None);
        assert_eq!(self.offers_with(Some(extracts.path())), alone);
        assert_eq!(self.offers_with(Some(extracts.path())), alone);
        offers
    }

    /// What is offered without asking apt, with the extracts of this directory.
    pub(crate) fn offers_with(&self, extracts: Option<&Path>) -> Offers {
        let options = Options {
            asks_apt: false,
            max_list_age: jiff::SignedDuration::MAX,
            extracts,
            ..Options::default()
        };
        read_offers(&self.root, &self.inventory(), NOW.parse::<Timestamp>().unwrap(), &options)
    }

    /// Runs the real apt on this root.
    pub(crate) fn apt(&self, program: &str, arguments: &[&str]) -> Option<Answer> {
        let root = self.root.directory().to_str().unwrap();
        let mut settings = format!(
            "Dir \"{root}\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\nDir::Bin::ischroot \"/bin/false\";\n\
             Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\nDebug::NoLocking \"true\";\n\
             APT::Architecture \"amd64\";\n"
        );
        for architecture in &self.architectures {
            settings.push_str(&format!("APT::Architectures:: \"{architecture}\";\n"));
        }
        put(&self.root, "oracle.conf", settings);
        let path = self.root.path("oracle.conf");
        run_with(program, arguments, Stdio::null(), &[("APT_CONFIG", path.to_str().unwrap())])
    }
}

fn compress(bytes: &[u8], suffix: &str) -> Vec<u8> {
    let program = match suffix {
        "" => return bytes.to_vec(),
        ".gz" => "gzip",
        ".xz" | ".lzma" => "xz",
        ".lz4" => "lz4",
        ".zst" => "zstd",
        other => panic!("no compressor for {other}"),
    };
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let arguments: &[&str] = if suffix == ".lzma" { &["-c", "--format=lzma"] } else { &["-c"] };
    let program = format!("/usr/bin/{program}");
    let program = if Path::new(&program).exists() { program } else { program.replace("/usr", "") };
    crate::support::run_for_bytes(&program, arguments, input.into())
}

/// What apt says of a root.
pub(crate) struct Oracle {
    /// Full name to candidate.
    pub(crate) candidates: BTreeMap<String, Option<String>>,
    /// Full name to the versions with their priorities.
    pub(crate) versions: BTreeMap<String, Vec<(String, i32)>>,
    pub(crate) upgradable: BTreeSet<String>,
    pub(crate) simulation: Option<Simulation>,
}

/// Asks apt everything about the installed packages; none where the machine has no apt.
pub(crate) fn ask(lab: &Lab, inventory: &Inventory) -> Option<Oracle> {
    let names: Vec<String> = full_names(inventory).collect();
    let arguments: Vec<&str> = ["policy"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let policy = parse_policy(&lab.apt("/usr/bin/apt-cache", &arguments)?.output);
    let list = lab.apt("/usr/bin/apt", &["list", "--upgradable"])?;
    let simulated = lab.apt("/usr/bin/apt-get", &["-s", "dist-upgrade"])?;
    let upgradable = list.output.lines().filter(|line| line.contains("[upgradable from: "));
    Some(Oracle {
        candidates: policy.iter().map(|answer| (answer.name.clone(), answer.candidate.clone())).collect(),
        versions: policy.into_iter().map(|answer| (answer.name, answer.versions)).collect(),
        upgradable: upgradable.map(listed_name).collect(),
        simulation: (simulated.code == Some(0))
            .then(|| Simulation::parse(&simulated.output, inventory).unwrap()),
    })
}

/// `name/suites version architecture […]`.
pub(crate) fn listed_name(line: &str) -> String {
    let name = line.split('/').next().unwrap();
    let architecture = line.split(' ').nth(2).unwrap();
    full_name(name, architecture, "amd64")
}

pub(crate) fn full_names(inventory: &Inventory) -> impl Iterator<Item = String> {
    let native = inventory.native.as_str();
    inventory
        .packages
        .iter()
        .map(move |package| full_name(package.id.name.as_str(), package.id.architecture.as_str(), native))
}

/// Holds candidates and priorities against `apt-cache policy`, and what is upgradable against `apt list`.
#[track_caller]
pub(crate) fn assert_same_candidates(what: &str, inventory: &Inventory, offers: &Offers, oracle: &Oracle) {
    let mut upgradable = BTreeSet::new();
    for (package, name) in inventory.packages.iter().zip(full_names(inventory)) {
        let known = offers.packages.get(&package.id);
        let ours = known.and_then(|known| known.candidate()).map(|offer| offer.version.as_str().to_owned());
        let theirs = oracle.candidates.get(&name).cloned().flatten();
        // A candidate that no source has any more is what is installed, and no offer.
        let theirs_offered = theirs.filter(|theirs| ours.is_some() || theirs != package.version.as_str());
        assert_eq!(ours, theirs_offered, "{what}: candidate of {name}");
        for offer in known.iter().flat_map(|known| &known.offers) {
            let row = (offer.version.as_str().to_owned(), offer.pin);
            let rows = oracle.versions.get(&name).map(Vec::as_slice).unwrap_or_default();
            assert!(rows.contains(&row), "{what}: {name} has {row:?}, apt has {rows:?}");
        }
        if known.is_some_and(|known| known.is_upgradable) {
            upgradable.insert(name);
        }
    }
    assert_eq!(upgradable, oracle.upgradable, "{what}: what is upgradable");
}

/// Holds what goes and what comes new against the simulation.
#[track_caller]
pub(crate) fn assert_same_upgrade(
    what: &str,
    inventory: &Inventory,
    offers: &Offers,
    simulation: &Simulation,
) {
    let mut going = BTreeSet::new();
    for (package, name) in inventory.packages.iter().zip(full_names(inventory)) {
        let Some(known) = offers.packages.get(&package.id) else {
            continue;
        };
        let is_downgrade = known.candidate().is_some_and(|candidate| {
            inventory.scheme.compare(&candidate.version, &package.version).is_lt() && !package.is_held()
        });
        let goes = match known.kept_back {
            None => known.is_upgradable || is_downgrade,
            Some(KeptBack::RemovalRequired { .. }) => true,
            Some(_) => false,
        };
        if goes {
            going.insert(format!("{name} {}", known.candidate().unwrap().version));
        }
    }
    let native = inventory.native.as_str();
    let shown = |one: &PlannedChange| {
        let (name, architecture) = (one.package.name.as_str(), one.package.architecture.as_str());
        format!("{} {}", full_name(name, architecture, native), one.to)
    };
    // Another build of the very version, which `apt list` takes for none or for a downgrade, is no news to anybody.
    let is_news = |one: &&PlannedChange| {
        one.from.as_ref().is_some_and(|old| *old != one.to || going.contains(&shown(one)))
    };
    let theirs: BTreeSet<_> = simulation.changes.iter().filter(is_news).map(shown).collect();
    assert_eq!(going, theirs, "{what}: what goes");
    let new: BTreeSet<_> =
        offers.new_packages.iter().map(|new| format!("{} {}", new.id, new.version)).collect();
    let theirs = simulation.changes.iter().filter(|one| one.from.is_none());
    let theirs: BTreeSet<_> = theirs.map(|one| format!("{} {}", one.package, one.to)).collect();
    assert_eq!(new, theirs, "{what}: what comes new");
}

/// Reads a root with our readers alone, and holds everything against apt. What they can't prove must be asked for.
#[track_caller]
pub(crate) fn check(what: &str, lab: &Lab, is_proven: bool) -> Option<Offers> {
    let inventory = lab.inventory();
    let oracle = ask(lab, &inventory)?;
    let alone = lab.offers(false);
    assert_same_candidates(what, &inventory, &alone, &oracle);
    let asking = lab.offers(true);
    assert_eq!(
        asking.method == Method::Native,
        is_proven,
        "{what}: {:?} {:?}",
        asking.method,
        asking.problems
    );
    assert_same_candidates(what, &inventory, &asking, &oracle);
    if let Some(simulation) = &oracle.simulation {
        assert_same_upgrade(what, &inventory, &asking, simulation);
        if is_proven {
            assert_same_upgrade(what, &inventory, &alone, simulation);
        }
    }
    Some(asking)
}
