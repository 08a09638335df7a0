//! What the packages put on a host: one table, from which both are made and against which both are tested.
//!
//! It says nothing of what packages *do*: users, directories with state and services are the business of
//! packaging/scripts, sysusers.d and tmpfiles.d.

use crate::dist::Family;

/// One path on the host. Everything belongs to root, and is as old as the last commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Absolute, on the host.
    pub(crate) path: &'static str,
    pub(crate) source: Source,
    /// Packages other than this one don't have it.
    only: Option<Family>,
}

/// Where the bytes come from; with it goes the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A directory of ours, which goes with the package.
    Directory,
    /// One of the three programs.
    Program(&'static str),
    /// A file of the workspace.
    File(&'static str),
    /// A file of the workspace, packed by gzip without a name and a time.
    Gzip(&'static str),
    /// A file of the workspace that belongs to the operator from then on: an upgrade never replaces an edited one.
    Config(&'static str),
    /// Written by us for each package.
    Made(Made),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// Of whom it is, in Debian's form.
    DebianCopyright,
    /// Debian's own changelog, packed.
    DebianChangelog,
    /// What the programs are made of.
    BillOfMaterials,
}

impl Source {
    pub(crate) fn mode(self) -> u32 {
        match self {
            Self::Directory | Self::Program(_) => 0o755,
            Self::File(_) | Self::Gzip(_) | Self::Config(_) | Self::Made(_) => 0o644,
        }
    }
}

impl Entry {
    const fn new(path: &'static str, source: Source) -> Self {
        Self { path, source, only: None }
    }

    const fn only(path: &'static str, source: Source, family: Family) -> Self {
        Self { path, source, only: Some(family) }
    }
}

/// What a package of the family has, sorted by path.
pub(crate) fn of(family: Family) -> Vec<Entry> {
    let chosen = TABLE.iter().filter(|entry| entry.only.is_none_or(|only| only == family));
    let mut entries: Vec<_> = chosen.copied().collect();
    entries.sort_by_key(|entry| entry.path);
    entries
}

use Family::{Deb, Rpm};
use Source::{Config, Directory, File, Gzip, Program};

const TABLE: &[Entry] = &[
    // The programs. The executor is not in anybody's path: only systemd and patchd start it.
    Entry::new("/usr/bin/patchd", Program("patchd")),
    Entry::new("/usr/bin/patchctl", Program("patchctl")),
    Entry::new("/usr/libexec/patchd", Directory),
    Entry::new("/usr/libexec/patchd/patchd-executor", Program("patchd-executor")),
    // The operator's.
    Entry::new("/etc/patchd", Directory),
    Entry::new("/etc/patchd/patchd.toml", Config("packaging/patchd.toml")),
    Entry::new("/etc/patchd/patchd.d", Directory),
    Entry::new("/etc/patchd/hooks", Directory),
    Entry::new("/etc/patchd/hooks/pre-patch.d", Directory),
    Entry::new("/etc/patchd/hooks/post-patch.d", Directory),
    Entry::new("/etc/patchd/hooks/health.d", Directory),
    Entry::new("/etc/patchd/hooks/pre-reboot.d", Directory),
    // Drop-ins of an image or of another package.
    Entry::new("/usr/lib/patchd", Directory),
    Entry::new("/usr/lib/patchd/patchd.d", Directory),
    // systemd's. On Debian, services are enabled by the maintainer scripts and presets are the administrator's.
    Entry::new("/usr/lib/systemd/system/patchd.service", File("systemd/patchd.service")),
    Entry::new("/usr/lib/systemd/system/patchd-executor.service", File("systemd/patchd-executor.service")),
    Entry::new("/usr/lib/systemd/system/patchd-executor.socket", File("systemd/patchd-executor.socket")),
    Entry::only("/usr/lib/systemd/system-preset/90-patchd.preset", File("systemd/90-patchd.preset"), Rpm),
    Entry::new("/usr/lib/sysusers.d/patchd.conf", File("systemd/sysusers.d/patchd.conf")),
    Entry::new("/usr/lib/tmpfiles.d/patchd.conf", File("systemd/tmpfiles.d/patchd.conf")),
    // For people.
    Entry::new("/usr/share/man/man1/patchctl.1.gz", Gzip("docs/man/patchctl.1")),
    Entry::new("/usr/share/man/man8/patchd.8.gz", Gzip("docs/man/patchd.8")),
    Entry::new("/usr/share/bash-completion/completions/patchctl", File("docs/completions/patchctl.bash")),
    Entry::only("/usr/share/zsh/vendor-completions/_patchctl", File("docs/completions/_patchctl"), Deb),
    Entry::only("/usr/share/zsh/site-functions/_patchctl", File("docs/completions/_patchctl"), Rpm),
    Entry::new("/usr/share/fish/vendor_completions.d/patchctl.fish", File("docs/completions/patchctl.fish")),
    Entry::new("/usr/share/doc/patchd", Directory),
    Entry::new("/usr/share/doc/patchd/changelog.gz", Gzip("CHANGELOG.md")),
    Entry::new("/usr/share/doc/patchd/examples", Directory),
    Entry::new("/usr/share/doc/patchd/examples/baseline.toml", File("packaging/baseline.toml")),
    Entry::new("/usr/share/doc/patchd/patchd.cdx.json", Source::Made(Made::BillOfMaterials)),
    Entry::only("/usr/share/doc/patchd/copyright", Source::Made(Made::DebianCopyright), Deb),
    Entry::only("/usr/share/doc/patchd/changelog.Debian.gz", Source::Made(Made::DebianChangelog), Deb),
    Entry::only("/usr/share/lintian/overrides/patchd", File("packaging/deb/lintian-overrides"), Deb),
    Entry::only("/usr/share/licenses/patchd", Directory, Rpm),
    Entry::only("/usr/share/licenses/patchd/LICENSE", File("LICENSE"), Rpm),
];
