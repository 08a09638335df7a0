//! What is said of conffiles before an upgrade, against what the real dpkg does with toy packages in a root of its own and
//! nobody to answer.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use patchd_core::package::{Architecture, PackageId, PackageName};
use patchd_host::dpkg::conffiles::{Conffiles, Edit, Md5, Recorded};
use patchd_host::dpkg::leftovers::leftovers;
use patchd_host::root::Root;

use crate::support::{Answer, put, run};

/// A root into which dpkg installs packages that are built for it.
struct Toys {
    _directory: tempfile::TempDir,
    root: Root,
    architecture: String,
}

fn toys() -> Option<Toys> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("left out: what dpkg does, which only root may have it do");
        return None;
    }
    let architecture =
        run("/usr/bin/dpkg", &["--print-architecture"], Stdio::null())?.output.trim().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let root = Root::at(directory.path().join("root"));
    for name in ["var/lib/dpkg/status", "var/lib/dpkg/available"] {
        put(&root, name, "");
    }
    for name in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc"] {
        std::fs::create_dir_all(root.path(name)).unwrap();
    }
    Some(Toys { _directory: directory, root, architecture })
}

impl Toys {
    fn id(&self, name: &str) -> PackageId {
        let architecture = Architecture::parse(&self.architecture).unwrap();
        PackageId { name: PackageName::parse(name).unwrap(), architecture }
    }

    /// Builds a package with these conffiles.
    fn build(&self, name: &str, version: &str, fields: &str, conffiles: &[(&str, &str)]) -> PathBuf {
        let tree = Root::at(self._directory.path().join(format!("{name}-{version}")));
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {}\nMaintainer: Toy <toy@example.org>\n\
             Description: toy\n{fields}",
            self.architecture
        );
        put(&tree, "DEBIAN/control", control);
        put(&tree, &format!("usr/share/doc/{name}/about"), version);
        let paths: String = conffiles.iter().map(|(path, _)| format!("{path}\n")).collect();
        put(&tree, "DEBIAN/conffiles", paths);
        for (path, content) in conffiles {
            put(&tree, path, content);
        }
        let (from, to) = (tree.directory().to_str().unwrap(), format!("{}.deb", tree.directory().display()));
        let built =
            run("/usr/bin/dpkg-deb", &["--root-owner-group", "-b", from, &to], Stdio::null()).unwrap();
        assert_eq!(built.code, Some(0), "{}", built.errors);
        to.into()
    }

    fn dpkg(&self, arguments: &[&str]) -> Answer {
        let root = format!("--root={}", self.root.directory().display());
        let arguments: Vec<&str> = [root.as_str()].into_iter().chain(arguments.iter().copied()).collect();
        run("/usr/bin/dpkg", &arguments, Stdio::null()).unwrap()
    }

    #[track_caller]
    fn install(&self, name: &str, version: &str, fields: &str, conffiles: &[(&str, &str)]) {
        let deb = self.build(name, version, fields, conffiles);
        let answer = self.dpkg(&["-i", deb.to_str().unwrap()]);
        assert_eq!(answer.code, Some(0), "{name} {version}: {}", answer.errors);
    }

    /// Whether we and dpkg say that the upgrade would ask.
    #[track_caller]
    fn check(&self, what: &str, name: &str, version: &str, fields: &str, conffiles: &[(&str, &str)]) -> bool {
        let (known, problems) = Conffiles::read(&self.root);
        assert_eq!(problems, []);
        let shipped = conffiles.iter().map(|(path, content)| (Path::new(path), Md5::of(content.as_bytes())));
        let ours = known.prompts(&self.root, &self.id(name), shipped);
        let deb = self.build(name, version, fields, conffiles);
        let answer = self.dpkg(&["-i", deb.to_str().unwrap()]);
        let asks = answer.errors.contains("end of file on stdin at conffile prompt");
        assert_eq!(answer.code == Some(0), !asks, "{what}: {}", answer.errors);
        assert_eq!(!ours.is_empty(), asks, "{what}: {ours:?} {}", answer.errors);
        asks
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.root.path(name)).unwrap();
    }

    fn link(&self, target: &str, name: &str) {
        self.remove(name);
        symlink(target, self.root.path(name)).unwrap();
    }
}

/// Changes a file of this name.
type ToFile<'a> = &'a dyn Fn(&str);

#[test]
fn edits_of_every_kind_ask_when_dpkg_does() {
    let Some(toys) = toys() else {
        return;
    };
    let root = &toys.root;
    put(root, "etc/mine", "mine\n");
    put(root, "etc/same", "one\n");
    let edits: [(&str, ToFile<'_>); 8] = [
        ("nothing", &|_| {}),
        ("another content", &|path| put(root, path, "mine\n")),
        ("what comes anyway", &|path| put(root, path, "two\n")),
        ("gone", &|path| toys.remove(path)),
        ("a link to another content", &|path| toys.link("mine", path)),
        ("an absolute link to another content", &|path| toys.link("/etc/mine", path)),
        ("a link to the same content", &|path| toys.link("../etc/./same", path)),
        ("a link to nothing", &|path| toys.link("/etc/nowhere", path)),
    ];
    let mut asked = Vec::new();
    for (at, (what, edit)) in edits.iter().enumerate() {
        for new in ["one\n", "two\n"] {
            let name = format!("toy{at}{}", new.trim());
            let path = format!("/etc/{name}.conf");
            toys.install(&name, "1", "", &[(&path, "one\n")]);
            edit(&path);
            if toys.check(&format!("{what}, then {new:?}"), &name, "2", "", &[(&path, new)]) {
                asked.push(*what);
            }
        }
    }
    let expected = ["another content", "gone"];
    assert_eq!(asked, expected);
}

#[test]
fn records_are_found_where_dpkg_finds_them() {
    let Some(toys) = toys() else {
        return;
    };
    let root = &toys.root;
    // A file that was there first.
    put(root, "etc/first-same", "one\n");
    put(root, "etc/first-other", "mine\n");
    assert!(!toys.check("nothing there", "new0", "1", "", &[("/etc/first-none", "one\n")]));
    assert!(!toys.check("the same there", "new1", "1", "", &[("/etc/first-same", "one\n")]));
    assert!(toys.check("another there", "new2", "1", "", &[("/etc/first-other", "one\n")]));
    let (known, _) = Conffiles::read(root);
    let new2 = toys.id("new2");
    assert_eq!(known.of(&new2)[0].recorded, Recorded::Never);
    assert_eq!(known.edited(root, [&new2])[0].edit, Edit::Foreign);

    // An obsolete record counts when the file comes back.
    for (name, back) in [("back1", "one\n"), ("back2", "two\n")] {
        let path = format!("/etc/with blank {name}");
        toys.install(name, "1", "", &[(&path, "one\n")]);
        put(root, &path, "mine\n");
        toys.install(name, "2", "", &[]);
        let (known, _) = Conffiles::read(root);
        let id = toys.id(name);
        assert!(known.of(&id)[0].is_obsolete && known.edited(root, [&id])[0].is_obsolete);
        assert_eq!(toys.check("obsolete", name, "3", "", &[(&path, back)]), back == "two\n");
    }

    // A file that another package takes over.
    for (name, content) in [("a", "one\n"), ("b", "two\n")] {
        let (old, new, path) = (format!("old-{name}"), format!("new-{name}"), format!("/etc/moved-{name}"));
        toys.install(&old, "1", "", &[(&path, "one\n")]);
        put(root, &path, "mine\n");
        let fields = format!("Replaces: {old}\n");
        assert_eq!(toys.check("taken over", &new, "1", &fields, &[(&path, content)]), content == "two\n");
    }

    // A file that was moved aside.
    for (name, aside) in [("div1", "one\n"), ("div2", "mine\n")] {
        let path = format!("/etc/{name}");
        toys.install(name, "1", "", &[(&path, "one\n")]);
        let root_argument = format!("--root={}", root.directory().display());
        let arguments =
            [root_argument.as_str(), "--local", "--rename", "--divert", &format!("{path}.aside"), &path];
        assert_eq!(run("/usr/bin/dpkg-divert", &arguments, Stdio::null()).unwrap().code, Some(0));
        put(root, &path, "the administrator's\n");
        put(root, &format!("{path}.aside"), aside);
        assert_eq!(toys.check("moved aside", name, "2", "", &[(&path, "two\n")]), aside == "mine\n");
    }
}

#[test]
fn what_was_not_taken_is_found_beside_the_file() {
    let Some(toys) = toys() else {
        return;
    };
    let root = &toys.root;
    let files = [("/etc/plain", "one\n"), ("/etc/linked", "one\n"), ("/etc/taken", "one\n")];
    toys.install("left", "1", "", &files);
    put(root, "etc/plain", "mine\n");
    put(root, "srv/target", "mine\n");
    toys.link("/srv/target", "etc/linked");
    put(root, "etc/plain.ucf-dist", "");
    put(root, "etc/plain.bak", "");
    let new = toys.build("left", "2", "", &files.map(|(path, _)| (path, "two\n")));
    let answer = toys.dpkg(&["--force-confdef", "--force-confold", "-i", new.to_str().unwrap()]);
    assert_eq!(answer.code, Some(0), "{}", answer.errors);
    let (known, _) = Conffiles::read(root);
    let found: Vec<_> = leftovers(root, &known, [&toys.id("left")]).into_iter().map(|one| one.path).collect();
    let expected = ["/etc/linked.dpkg-new", "/etc/plain.dpkg-dist", "/etc/plain.ucf-dist"];
    assert_eq!(found, expected.map(PathBuf::from));
    let edited = known.edited(root, [&toys.id("left")]);
    let edited: Vec<_> = edited.iter().map(|one| (one.path.to_str().unwrap(), &one.edit)).collect();
    assert_eq!(edited, [("/etc/linked", &Edit::Linked), ("/etc/plain", &Edit::Changed)]);
}
