//! The names that apt gives to the files it fetches, and which form of one is on disk. It opens none of them.

use std::collections::HashSet;

/// How a list is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Xz,
    Bzip2,
    Lzma,
    Gzip,
    Lz4,
    Zstd,
}

/// The forms in the order in which apt looks for them.
const FORMS: [(&str, Compression); 7] = [
    ("", Compression::None),
    (".xz", Compression::Xz),
    (".bz2", Compression::Bzip2),
    (".lzma", Compression::Lzma),
    (".gz", Compression::Gzip),
    (".lz4", Compression::Lz4),
    (".zst", Compression::Zstd),
];

/// The stored form of the list that is called `name` when it is uncompressed.
pub fn find_stored(names: &HashSet<String>, name: &str) -> Option<(String, Compression)> {
    let with_suffix = |(suffix, compression): (&str, Compression)| (format!("{name}{suffix}"), compression);
    FORMS.into_iter().map(with_suffix).find(|(stored, _)| names.contains(stored))
}

/// The uncompressed name of a stored list.
pub fn strip_compression(name: &str) -> &str {
    FORMS.iter().skip(1).find_map(|(suffix, _)| name.strip_suffix(suffix)).unwrap_or(name)
}

/// The address below which the files of a repository lie, with a `/` at its end.
pub fn repository_uri(uri: &str, distribution: &str) -> String {
    match distribution {
        "/" => uri.to_owned(),
        flat if flat.ends_with('/') => format!("{uri}{flat}"),
        name => format!("{uri}dists/{name}/"),
    }
}

/// The address of an index of binary packages.
pub fn index_uri(uri: &str, distribution: &str, component: &str, architecture: &str) -> String {
    let base = repository_uri(uri, distribution);
    if component.is_empty() {
        format!("{base}Packages")
    } else {
        format!("{base}{component}/binary-{architecture}/Packages")
    }
}

/// An address in its parts.
struct Address<'a> {
    /// User and password, if any, without the `@`.
    secret: &'a str,
    host: &'a str,
    port: &'a str,
    path: &'a str,
}

impl<'a> Address<'a> {
    fn parse(uri: &'a str) -> Self {
        let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
        let (secret, rest) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                let secret = rest
                    .get(..end)
                    .and_then(|authority| authority.rsplit_once('@'))
                    .map_or("", |(secret, _)| secret);
                (secret, rest.get(secret.len()..).unwrap_or_default().trim_start_matches('@'))
            }
            // A disc is called by its name; anything else without a host is a path.
            None if scheme == "cdrom" => ("", rest),
            None => return Self { secret: "", host: "", port: "", path: rest },
        };
        let (host, rest) = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some(split) => split,
            None => rest.split_at(rest.find([':', '/']).unwrap_or(rest.len())),
        };
        let (port, path) = match rest.strip_prefix(':') {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        Self { secret, host, port, path }
    }
}

/// The host part of an address; empty for a local path.
pub fn site(uri: &str) -> &str {
    Address::parse(uri).host
}

/// The address without user and password: fit for a report.
pub fn without_secrets(uri: &str) -> String {
    match Address::parse(uri).secret {
        "" => uri.to_owned(),
        secret => uri.replacen(&format!("{secret}@"), "", 1),
    }
}

/// The name of the file that apt keeps for an address: host, port and path, what is odd in them as `%xx`, and `_` for
/// each `/`.
pub fn file_name(uri: &str) -> String {
    let is_quoted = |byte: u8| !byte.is_ascii_graphic() || b"\\|{}[]<>\"^~_=!@#$%&*".contains(&byte);
    let Address { host, port, path, .. } = Address::parse(uri);
    let colon = if port.is_empty() { "" } else { ":" };
    let mut name = String::new();
    for byte in [host, colon, port, path].into_iter().flat_map(str::bytes) {
        match byte {
            b'/' => name.push('_'),
            odd if is_quoted(odd) => name.push_str(&format!("%{odd:02x}")),
            plain => name.push(char::from(plain)),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, distribution: &str, component: &str, expected: &str) {
        assert_eq!(file_name(&index_uri(uri, distribution, component, "amd64")), expected);
    }

    #[test]
    fn names_are_those_of_apt() {
        check(
            "http://example.org/debian/",
            "stable",
            "main",
            "example.org_debian_dists_stable_main_binary-amd64_Packages",
        );
        check(
            "https://u:p@example.org:8080/a_b/",
            "x/updates",
            "c",
            "example.org:8080_a%5fb_dists_x_updates_c_binary-amd64_Packages",
        );
        check("file:/tmp/lab/repo/", "./", "", "_tmp_lab_repo_._Packages");
        check(
            "mirror+file:///etc/apt/mirrors/debian.list/",
            "stable",
            "main",
            "_etc_apt_mirrors_debian.list_dists_stable_main_binary-amd64_Packages",
        );
        check("cdrom:[Disc 1/2]/", "y", "main", "Disc%201_2_dists_y_main_binary-amd64_Packages");
        check("copy:///srv/r~1/", "/", "", "_srv_r%7e1_Packages");
        assert_eq!(file_name(&repository_uri("http://h/p/", "s")) + "InRelease", "h_p_dists_s_InRelease");
    }

    #[test]
    fn the_site_is_the_host_alone() {
        for (uri, expected) in [
            ("http://example.org/debian/", "example.org"),
            ("http://u:p@example.org:80/", "example.org"),
            ("mirror+http://[::1]:80/x", "::1"),
            ("file:/srv", ""),
            ("file:///srv", ""),
            ("cdrom:[Disc 1/2]/", "Disc 1/2"),
        ] {
            assert_eq!(site(uri), expected, "{uri}");
        }
        assert_eq!(without_secrets("http://u:p@example.org/x"), "http://example.org/x");
        assert_eq!(without_secrets("http://example.org/a@b"), "http://example.org/a@b");
    }

    #[test]
    fn the_plain_form_is_taken_first() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        let (name, compression) = find_stored(&names(&["a.lz4", "a.xz", "b"]), "a").unwrap();
        assert_eq!((name.as_str(), compression), ("a.xz", Compression::Xz));
        assert_eq!(find_stored(&names(&["b", "b.gz"]), "b").unwrap().1, Compression::None);
        assert_eq!(find_stored(&names(&["b"]), "c"), None);
        assert_eq!(strip_compression("x_Packages.lz4"), "x_Packages");
    }
}
