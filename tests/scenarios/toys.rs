//! The harness proves itself: the toy repository does in a disposable root what apt promises, before anything of ours
//! is judged by it.

use anyhow::Result;
use patchd_tests::apt_root::AptRoot;
use patchd_tests::command;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};

#[test]
fn real_apt_upgrades_holds_and_fails_in_a_disposable_root() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh()?;
    let repository = LocalRepository::create(&root)?;
    let names = ["lab-plain", "lab-held", "lab-broken"];
    let old: Vec<_> = names.iter().map(|name| ToyPackage::new(name, "1.0")).collect();
    repository.publish(Suite::Release, &old)?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y"].iter().chain(&names))?;
    root.run(["apt-mark", "hold", "lab-held"])?;

    repository.publish(
        Suite::Security,
        &[
            ToyPackage::new("lab-plain", "1.1").field("Depends: lab-library (>= 1.1)"),
            ToyPackage::new("lab-library", "1.1"),
            ToyPackage::new("lab-held", "1.1"),
            ToyPackage::new("lab-broken", "1.1").script("postinst", "exit 1"),
        ],
    )?;
    root.run(["apt-get", "update"])?;
    let simulated = root.run(["apt-get", "-s", "dist-upgrade"])?.stdout;
    assert!(
        simulated.contains("Inst lab-plain [1.0] (1.1 Debian-Security:stable-security [amd64])"),
        "{simulated}"
    );
    command::finish(&mut root.command(["apt-get", "dist-upgrade", "-y"]))?.expect_code(100)?;
    let states = ["lab-plain", "lab-library", "lab-held", "lab-broken"].map(|name| root.dpkg(name));
    assert_eq!(
        states.into_iter().collect::<Result<Vec<_>>>()?,
        [
            "1.1|install ok installed",
            "1.1|install ok installed",
            "1.0|hold ok installed",
            "1.1|install ok half-configured"
        ]
    );
    Ok(())
}
