//! What the daemon still has to do with once it works: what it reads, what it has run, what it writes.
//!
//! Places that are not there are left out. Nothing is opened for good here, and nothing is shut.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use patchd_host::apt::conf::Conf;
use patchd_host::apt::sources::read_sources;
use patchd_host::problem_list::ProblemList;
use patchd_host::root::Root;
use patchd_protocol::config::{BaselineSource, Settings};
use patchd_protocol::store_url::StoreUrl;

/// Where programs and their libraries lie.
const PROGRAMS: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libexec"];

/// The directories of `/` that are not read: people's, and what services keep.
const CLOSED: [&str; 7] = ["home", "root", "tmp", "var", "dev", "lost+found", "swap"];

/// What is read below `/var`: package databases and lists, cloud-init's word that it is done, and what stands behind the
/// accounts of a host.
const STATE_OF_HOST: [&str; 15] = [
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/var/lib/apt",
    "/var/lib/dbus",
    "/var/lib/cloud",
    "/var/lib/dnf",
    "/var/lib/zypp",
    "/var/lib/sss",
    "/var/lib/extrausers",
    "/var/lib/misc",
    "/var/db",
    "/var/yp",
    "/var/cache/apt",
    "/var/cache/dnf",
    "/var/cache/zypp",
];

/// What apt-get splits signed lists in while it plans, and SQLite large sorts.
const FOR_A_WHILE: [&str; 2] = ["/tmp", "/var/tmp"];

const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Variables that name files of credentials and certificates.
const NAMING: [&str; 8] = [
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TZDIR",
];

/// The directories that are the daemon's own.
#[derive(Debug, Clone)]
pub struct Own<'a> {
    pub state: &'a Path,
    /// Where it makes its socket.
    pub runtime: Option<&'a Path>,
    pub config_root: &'a Path,
}

/// Directories and files, with links followed, each of which is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) read: Vec<PathBuf>,
    pub(super) run: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
    pub(super) devices: Vec<PathBuf>,
    /// Whether sockets without a place in the file system are: whoever started us wants to be notified over one.
    pub(super) has_abstract_sockets: bool,
}

/// What the configuration names.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) read: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
}

impl Named {
    pub(super) fn in_settings(settings: &Settings, config_root: &Path) -> Self {
        let baseline = &settings.baseline;
        let groups = baseline.groups.iter().map(|group| &group.source);
        let sources = std::iter::once(&baseline.source).chain(&baseline.install_override_list).chain(groups);
        let read = sources.filter_map(|source| match source {
            BaselineSource::File(path) => Some(Root::at(config_root).path(path)),
            BaselineSource::Default | BaselineSource::Builtin(_) | BaselineSource::S3 { .. } => None,
        });
        let write = match &settings.store.location {
            StoreUrl::File { path } => vec![path.clone()],
            StoreUrl::S3 { .. } => Vec::new(),
        };
        Self { read: read.collect(), write }
    }
}

impl Allowed {
    /// Everything for these settings on this host. `variable` is the environment.
    pub(super) fn of(
        own: &Own<'_>,
        settings: &Settings,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let named = Named::in_settings(settings, own.config_root);
        let mut read = top_level();
        read.extend(paths(&STATE_OF_HOST));
        read.extend(of_apt());
        // A file is replaced by another one when it changes: what counts is the directory.
        read.extend(named.read.iter().map(|path| directory_of(path)));
        read.extend(of_environment(&variable));
        if own.config_root != Path::new("/") {
            read.push(own.config_root.into());
        }
        let mut write = paths(&FOR_A_WHILE);
        write.extend(variable("TMPDIR").map(PathBuf::from));
        write.push(own.state.into());
        write.extend(own.runtime.map(Path::to_owned));
        write.extend(named.write);
        Self {
            read: existing(read),
            run: existing(paths(&PROGRAMS)),
            write: existing(write),
            devices: existing(paths(&DEVICES)),
            has_abstract_sockets: variable("NOTIFY_SOCKET")
                .is_some_and(|name| name.as_bytes().starts_with(b"@")),
        }
    }

    /// Whether what lies at `path`, or will, can be read.
    pub(super) fn has_to_read(&self, path: &Path) -> bool {
        let all = self.read.iter().chain(&self.run).chain(&self.write);
        is_below(path, all)
    }

    pub(super) fn has_to_write(&self, path: &Path) -> bool {
        is_below(path, self.write.iter())
    }
}

/// Whatever a host has beside the directories that every host has: package sources may lie in files there.
fn top_level() -> Vec<PathBuf> {
    let is_open = |name: &OsString| !CLOSED.iter().any(|closed| name == closed);
    let entries = std::fs::read_dir("/").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).filter(is_open).map(|name| Path::new("/").join(name)).collect()
}

/// Where apt's own files are on this host, if elsewhere, and sources that are directories.
fn of_apt() -> Vec<PathBuf> {
    let (host, mut problems) = (Root::host(), ProblemList::new("apt"));
    let conf = Conf::read(&host, &mut problems);
    let keys = ["Dir::State", "Dir::State::lists", "Dir::State::status", "Dir::Cache", "Dir::Etc"];
    let of_conf = keys.iter().map(|key| conf.path(key)).filter(|path| path.starts_with('/') && path != "/");
    let sources = read_sources(&host, &conf, &[], &mut problems).sources;
    let directory = |uri: &str| {
        let path = uri.strip_prefix("file:").or_else(|| uri.strip_prefix("copy:"))?;
        let path =
            path.strip_prefix("//").map_or(path, |rest| rest.strip_prefix("localhost").unwrap_or(rest));
        (path.starts_with('/') && path != "/").then(|| PathBuf::from(path))
    };
    let of_sources = sources.iter().filter_map(|source| directory(&source.uri)).collect::<Vec<_>>();
    of_conf.map(PathBuf::from).chain(of_sources).collect()
}

/// What the environment and AWS's own files name.
fn of_environment(variable: &impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let named = NAMING.iter().filter_map(|name| variable(name)).map(PathBuf::from);
    let mut found: Vec<_> = named.collect();
    if let Some(home) = variable("HOME").map(PathBuf::from) {
        found.extend([home.join(".aws/config"), home.join(".aws/credentials")]);
    }
    let texts = found
        .iter()
        .filter_map(|path| patchd_host::read::read_optional(&Root::host(), path, 1 << 20).ok().flatten());
    let values: Vec<PathBuf> =
        texts.flat_map(|text| values(&String::from_utf8_lossy(&text))).map(PathBuf::from).collect();
    found.extend(values);
    found.iter().map(|path| if path.is_dir() { path.clone() } else { directory_of(path) }).collect()
}

/// The absolute paths that lines of the kind `key = value` have as their values.
fn values(text: &str) -> Vec<String> {
    let value = |line: &str| line.split_once('=').map(|(_, value)| value.trim().to_owned());
    text.lines().filter_map(value).filter(|value| value.starts_with('/')).collect()
}

/// The directory of a file; of one in the root directory only itself, since the whole host lies there.
fn directory_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !matches!(parent.to_str(), Some("" | "/")));
    parent.unwrap_or(path).to_owned()
}

/// Those that are there, with links followed, and what the links led through.
fn existing(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<_> = paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
    found.retain(|path| path != Path::new("/"));
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether the nearest part of `path` that is there lies below one of these.
fn is_below<'a>(path: &Path, mut allowed: impl Iterator<Item = &'a PathBuf>) -> bool {
    let Some(real) = path.ancestors().find_map(|part| part.canonicalize().ok()) else { return false };
    allowed.any(|allowed| real.starts_with(allowed))
}
