//! Configuration files that were edited here and are shipped anew, with the real dpkg: kept, replaced, or the reason why
//! their package is held back, and nothing else's.

use anyhow::Result;
use patchd_protocol::executor::{RefusalCode, Reply};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::executor_client::{ALWAYS, Client, change, done, plan, root_with_executor};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};

const RULES: &str = "[[conffile]]\npackages = \"lab-replace\"\nrule = \"replace\"\n\
                     [[conffile]]\npackages = \"lab-hold*\"\nrule = \"hold\"\n";

/// The packages, and what the new version ships of their files.
const PACKAGES: [(&str, &str); 6] = [
    ("lab-keep", "new"),
    ("lab-replace", "new"),
    ("lab-hold", "new"),
    // Edited, and shipped as before.
    ("lab-hold-same", "old"),
    // Not edited, and shipped anew.
    ("lab-hold-fine", "new"),
    // Edited to what is shipped now.
    ("lab-hold-equal", "new"),
];

fn path(name: &str) -> String {
    format!("/etc/{name}.conf")
}

fn package(name: &str, version: &str, content: &str) -> ToyPackage {
    ToyPackage::new(name, version).conffile(&path(name), &format!("{content}\n"))
}

fn root_with_edits() -> Result<(AptRoot, LocalRepository)> {
    let root = root_with_executor()?;
    root.write("/etc/patchd/patchd.toml", format!("{ALWAYS}{RULES}"))?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &PACKAGES.map(|(name, _)| package(name, "1.0", "old")))?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y"].into_iter().chain(PACKAGES.map(|(name, _)| name)))?;
    for (name, shipped) in PACKAGES {
        match name {
            "lab-hold-fine" => {}
            "lab-hold-equal" => root.write(&path(name), format!("{shipped}\n"))?,
            _ => root.write(&path(name), "edited\n")?,
        }
    }
    repository.publish(Suite::Security, &PACKAGES.map(|(name, shipped)| package(name, "1.1", shipped)))?;
    root.run(["apt-get", "update"])?;
    Ok((root, repository))
}

/// docs/accidents.md, rows 12 and 13: a package is held for a prompt that dpkg would really make, and it alone is to blame.
#[test]
fn only_the_package_that_dpkg_would_ask_about_is_held() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_edits()?;
    let mut client = Client::start(&root)?;
    let all = plan(PACKAGES.map(|(name, _)| change(name, Some("1.0"), "1.1")))?;
    let reply = client.apply("r.1", &all)?;
    let Reply::Refused(refusal) = &reply else { anyhow::bail!("not refused: {reply:?}") };
    assert_eq!(refusal.code, RefusalCode::Conffile, "{refusal:?}");
    assert!(refusal.message.contains("/etc/lab-hold.conf"), "{}", refusal.message);
    let blamed: Vec<_> = refusal.blamed.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(blamed, ["lab-hold"]);
    for (name, _) in PACKAGES {
        assert_eq!(root.dpkg(name)?, "1.0|install ok installed");
    }

    let others = ["lab-keep", "lab-replace", "lab-hold-same", "lab-hold-fine", "lab-hold-equal"];
    let record = done(client.apply("r.2", &plan(others.map(|name| change(name, Some("1.0"), "1.1")))?)?)?;
    client.end()?;
    assert!(record.changes.iter().all(|change| change.done), "{record:?}");
    let content = |name: &str| root.read(&path(name));
    assert_eq!(content("lab-keep")?, "edited\n");
    assert_eq!(root.read("/etc/lab-keep.conf.dpkg-dist")?, "new\n");
    assert_eq!(content("lab-replace")?, "new\n");
    assert_eq!(root.read("/etc/lab-replace.conf.dpkg-old")?, "edited\n");
    assert_eq!(content("lab-hold-same")?, "edited\n");
    assert_eq!(content("lab-hold-fine")?, "new\n");
    assert_eq!(record.left_files, ["/etc/lab-keep.conf.dpkg-dist", "/etc/lab-replace.conf.dpkg-old"]);
    assert!(
        record.notes.iter().any(|note| note.starts_with("/etc/lab-replace.conf is what ")),
        "{:?}",
        record.notes
    );
    Ok(())
}
