//! The host on which everything is cut: one package for each way in which an upgrade goes, made once and laid under every
//! case.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::agent_host::always_open;
use crate::apt_root::{AptRoot, SealedRoot};
use crate::binaries::Binaries;
use crate::repository::{LocalRepository, Suite, ToyPackage};

/// Of a lab whose machine keeps its clock as it likes. Windows that are always open say the same already.
pub const CONFIG: &str = "[clock]\nrequire_synchronised = false\n";

/// Who waits for files of others, and says how often it was told of some.
const TRIGGERED: &str = "if [ \"$1\" = triggered ]; then echo triggered >>/var/log/lab-triggered; fi";

const TEMPLATES: &str = "Template: lab-question/answer\nType: string\nDefault: forty-two\n\
                         Description: What is the answer?\n It is asked of whoever installs this.\n";
const ASK: &str = ". /usr/share/debconf/confmodule\ndb_input high lab-question/answer || true\ndb_go || true";
const TAKE_ANSWER: &str =
    ". /usr/share/debconf/confmodule\ndb_get lab-question/answer\necho \"$RET\" >/etc/lab-question.answer";

/// What is installed before.
pub fn old() -> Vec<ToyPackage> {
    vec![
        ToyPackage::new("lab-plain", "1.0"),
        ToyPackage::new("lab-conffile", "1.0").conffile("/etc/lab-conffile.conf", "value = 1\n"),
        ToyPackage::new("lab-broken", "1.0"),
        ToyPackage::new("lab-trigger", "1.0")
            .control_file("triggers", "interest-noawait /usr/share/lab-trigger.d\n")
            .script("postinst", TRIGGERED),
        ToyPackage::new("lab-activates", "1.0").file("/usr/share/lab-trigger.d/one", "1.0\n"),
        ToyPackage::new("lab-held", "1.0"),
        ToyPackage::new("lab-chain", "1.0"),
        ToyPackage::new("lab-top", "1.0").field("Depends: lab-chain"),
        ToyPackage::new("lab-question", "1.0").field("Depends: debconf"),
        ToyPackage::new("lab-slow", "1.0"),
    ]
}

/// What is on sale. The slow one sleeps for so many seconds.
pub fn fixes(sleep: u32) -> Vec<ToyPackage> {
    vec![
        ToyPackage::new("lab-plain", "1.1"),
        ToyPackage::new("lab-conffile", "1.1").conffile("/etc/lab-conffile.conf", "value = 2\n"),
        ToyPackage::new("lab-broken", "1.1")
            .script("postinst", "echo 'lab-broken can not be configured' >&2\nexit 1"),
        ToyPackage::new("lab-trigger", "1.1")
            .control_file("triggers", "interest-noawait /usr/share/lab-trigger.d\n")
            .script("postinst", TRIGGERED),
        ToyPackage::new("lab-activates", "1.1").file("/usr/share/lab-trigger.d/one", "1.1\n"),
        ToyPackage::new("lab-held", "1.1"),
        ToyPackage::new("lab-chain", "1.1").field("Depends: lab-library (>= 1.1)"),
        ToyPackage::new("lab-library", "1.1"),
        ToyPackage::new("lab-top", "1.1").field("Depends: lab-chain (>= 1.1)"),
        ToyPackage::new("lab-question", "1.1")
            .field("Depends: debconf")
            .control_file("templates", TEMPLATES)
            .script("config", ASK)
            .script("postinst", TAKE_ANSWER),
        ToyPackage::new("lab-slow", "1.1").script("postinst", &format!("sleep {sleep}")),
    ]
}

/// Where every package should get, as `VERSION|want flag status`, whoever can bring it there.
pub fn ideal() -> BTreeMap<String, String> {
    let names = fixes(0);
    names.iter().map(|package| (package.name().to_owned(), "1.1|install ok installed".to_owned())).collect()
}

/// Where a run that nobody kills gets: one package is held, and one can't be configured.
pub fn reached() -> BTreeMap<String, String> {
    let mut states = ideal();
    states.insert("lab-held".into(), "1.0|hold ok installed".into());
    states.insert("lab-broken".into(), "1.1|install ok half-configured".into());
    states
}

/// Makes the world and seals it.
pub fn make(sleep: u32) -> Result<SealedRoot> {
    let root = AptRoot::fresh()?;
    let repository = LocalRepository::create(&root)?;
    let old = old();
    repository.publish(Suite::Release, &old)?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y"].into_iter().chain(old.iter().map(ToyPackage::name)))?;
    root.run(["apt-mark", "hold", "lab-held"])?;
    root.write("/etc/lab-conffile.conf", "value = mine\n")?;
    repository.publish(Suite::Security, &fixes(sleep))?;
    root.install_binaries(&Binaries::find()?)?;
    root.write("/etc/patchd/patchd.toml", always_open())?;
    // A run whose own refresh is cut knows of the fixes all the same.
    root.run(["apt-get", "update"])?;
    // What is counted is what the run does.
    root.run(["sh", "-c", ": >/var/log/dpkg.log"])?;
    drop(repository);
    root.seal()
}
