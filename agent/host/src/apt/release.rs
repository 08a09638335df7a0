//! What a repository says of itself: its Release or InRelease file. Signatures are not checked here, nor by apt when it
//! reads: whether one was, the name of the file tells.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::deb822::{Stanza, StanzaReader};

/// The longest Release file. Debian's is 150 KiB.
pub const MAX_RELEASE: u64 = 32 << 20;

/// The fields of a Release file that decide something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    pub origin: Option<String>,
    pub label: Option<String>,
    pub suite: Option<String>,
    pub codename: Option<String>,
    pub version: Option<String>,
    pub date: Option<Timestamp>,
    pub valid_until: Option<Timestamp>,
    pub not_automatic: bool,
    pub but_automatic_upgrades: bool,
    /// Packages for all architectures are in every architecture's index; the index of their own is not fetched.
    pub repeats_all: bool,
    /// What `Architectures` lists, if the field is there. apt fetches no index of another architecture, `all` included,
    /// even where the repository has one.
    pub architectures: Option<Vec<String>>,
}

impl Release {
    /// Whether apt would fetch an index of its own for the packages of all architectures.
    pub fn has_index_of_all(&self) -> bool {
        let lists_all =
            self.architectures.as_ref().is_none_or(|listed| listed.iter().any(|one| one == "all"));
        lists_all && !self.repeats_all
    }
}

/// Reads a Release file, with or without the armour of a clear-signed one. A date that can't be read is in `.1`.
pub fn parse(text: &[u8]) -> (Release, Vec<&'static str>) {
    let mut release = Release::default();
    let mut problems = Vec::new();
    let body = without_armour(text);
    let mut reader = StanzaReader::new(body);
    // Reading from memory can't fail. The first stanza is all.
    let Ok(Some(stanza)) = reader.next_stanza() else {
        return (release, vec!["the file is empty"]);
    };
    read_fields(&stanza, &mut release, &mut problems);
    (release, problems)
}

fn read_fields(stanza: &Stanza<'_>, release: &mut Release, problems: &mut Vec<&'static str>) {
    let mut has_bad_line = false;
    for field in stanza.fields() {
        let Ok(field) = field else {
            has_bad_line = true;
            continue;
        };
        let text = || Some(String::from_utf8_lossy(field.value).into_owned()).filter(|text| !text.is_empty());
        let is_set = || text().as_deref().and_then(crate::apt::conf::parse_flag).unwrap_or_default();
        if field.is("Origin") {
            release.origin = text();
        } else if field.is("Label") {
            release.label = text();
        } else if field.is("Suite") {
            release.suite = text();
        } else if field.is("Codename") {
            release.codename = text();
        } else if field.is("Version") {
            release.version = text();
        } else if field.is("NotAutomatic") {
            release.not_automatic = is_set();
        } else if field.is("ButAutomaticUpgrades") {
            release.but_automatic_upgrades = is_set();
        } else if field.is("No-Support-for-Architecture-all") {
            release.repeats_all =
                text().is_some_and(|text| text.split_whitespace().any(|word| word == "Packages"));
        } else if field.is("Architectures") {
            release.architectures = text().map(|text| text.split_whitespace().map(str::to_owned).collect());
        } else if field.is("Date") {
            release.date = text().as_deref().and_then(parse_date);
            if release.date.is_none() {
                problems.push("its Date can't be read");
            }
        } else if field.is("Valid-Until") {
            release.valid_until = text().as_deref().and_then(parse_date);
            if release.valid_until.is_none() {
                problems.push("its Valid-Until can't be read");
            }
        }
    }
    if has_bad_line {
        problems.push("it has lines that are no fields");
    }
}

/// The signed text of a clear-signed file; any other text as it is.
fn without_armour(text: &[u8]) -> &[u8] {
    const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
    const END: &[u8] = b"\n-----BEGIN PGP SIGNATURE-----";
    if !text.starts_with(BEGIN) {
        return text;
    }
    // The armour's own header ends with an empty line.
    let lf = memchr::memmem::find(text, b"\n\n").map(|at| at + 2);
    let crlf = memchr::memmem::find(text, b"\n\r\n").map(|at| at + 3);
    let start = lf.into_iter().chain(crlf).min().unwrap_or(text.len());
    let body = text.get(start..).unwrap_or_default();
    let end = memchr::memmem::find(body, END).map_or(body.len(), |at| at + 1);
    body.get(..end).unwrap_or_default()
}

/// What the file lists an index as: its size, if it lists it at all. Only the uncompressed name counts, as for apt.
pub fn listed_size(text: &[u8], name: &str) -> Option<u64> {
    let needle = format!(" {name}");
    memchr::memmem::find_iter(text, needle.as_bytes()).find_map(|at| {
        let line_end = text.get(at + needle.len());
        let line_start = memchr::memrchr(b'\n', text.get(..at)?).map_or(0, |newline| newline + 1);
        let line = std::str::from_utf8(text.get(line_start..at)?).ok()?;
        let mut words = line.split_ascii_whitespace();
        let (hash, size) = (words.next()?, words.next()?);
        let is_entry =
            matches!(line_end, None | Some(b'\n' | b'\r')) && 32 <= hash.len() && words.next().is_none();
        if is_entry { size.parse().ok() } else { None }
    })
}

/// A date of RFC 2822 or RFC 1123 in universal time, as Release files have it: `Sat, 22 Nov 2025 10:21:41 UTC`.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = text.split_ascii_whitespace();
    let day: i8 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = (1..).zip(months).find(|(_, name)| month.eq_ignore_ascii_case(name))?.0;
    let year: i16 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.splitn(3, ':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    match words.next() {
        None | Some("UTC" | "GMT" | "Z" | "+0000" | "-0000") => {}
        // apt knows no other zone.
        Some(_) => return None,
    }
    let time =
        Date::new(year, month, day).ok()?.to_datetime(jiff::civil::Time::new(hour, minute, second, 0).ok()?);
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: O, Inc.\nLabel: L\nSuite: stable\n\
        Codename: c\nVersion: 12.1\nDate: Sat, 09 Sep 2023  8:21:41 UTC\nValid-Until: Sat, 16 Sep 2023 08:21:41 GMT\n\
        NotAutomatic: yes\nButAutomaticUpgrades: no\nSHA256:\n \
        0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 77 main/binary-amd64/Packages\n \
        0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 7 main/binary-amd64/Packages.gz\n\
        -----BEGIN PGP SIGNATURE-----\n\nabc: def\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn a_clear_signed_file_is_read_without_its_armour() {
        for text in [SIGNED.to_owned(), SIGNED.replace('\n', "\r\n")] {
            let (release, problems) = parse(text.as_bytes());
            assert_eq!(problems, Vec::<&str>::new());
            assert_eq!(release.origin.as_deref(), Some("O, Inc."));
            assert_eq!(release.suite.as_deref(), Some("stable"));
            assert_eq!(release.version.as_deref(), Some("12.1"));
            assert_eq!(release.date.unwrap().to_string(), "2023-09-09T08:21:41Z");
            assert_eq!(release.valid_until.unwrap().to_string(), "2023-09-16T08:21:41Z");
            assert!(release.not_automatic && !release.but_automatic_upgrades);
        }
    }

    #[test]
    fn an_index_of_all_is_one_that_the_release_lists_as_an_architecture() {
        let has_index = |fields: &str| parse(fields.as_bytes()).0.has_index_of_all();
        assert!(has_index("Suite: s\n"));
        assert!(has_index("Architectures: all amd64\n"));
        assert!(!has_index("Architectures: amd64 i386\n"));
        assert!(!has_index("Architectures: all amd64\nNo-Support-for-Architecture-all: Packages\n"));
    }

    #[test]
    fn the_body_of_a_signed_file_and_a_plain_file_read_the_same() {
        let plain =
            SIGNED.lines().skip(3).take_while(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\n");
        assert_eq!(parse(plain.as_bytes()), parse(SIGNED.as_bytes()));
    }

    #[test]
    fn an_index_is_listed_by_its_uncompressed_name() {
        assert_eq!(listed_size(SIGNED.as_bytes(), "main/binary-amd64/Packages"), Some(77));
        assert_eq!(listed_size(SIGNED.as_bytes(), "main/binary-i386/Packages"), None);
        assert_eq!(listed_size(SIGNED.as_bytes(), "main/binary-amd64/Packages.gz"), Some(7));
        assert_eq!(listed_size(SIGNED.as_bytes(), "main/binary-amd64/Packag"), None);
    }

    #[test]
    fn dates_that_apt_reads_are_read() {
        let read = |text| parse_date(text).map(|date| date.to_string());
        let expected = Some("2025-11-22T10:21:41Z".to_owned());
        assert_eq!(read("Sat, 22 Nov 2025 10:21:41 UTC"), expected);
        assert_eq!(read("22 nov 2025 10:21:41 +0000"), expected);
        assert_eq!(read("Sat, 22 Nov 2025 10:21:41 CET"), None);
        assert_eq!(read("Sat, 31 Feb 2025 10:21:41 UTC"), None);
        assert_eq!(read("tomorrow"), None);
    }

    #[test]
    fn damage_is_told() {
        assert_eq!(parse(b"").1, ["the file is empty"]);
        assert_eq!(
            parse(b"Suite: x\nDate: yesterday\nrubbish\n").1,
            ["its Date can't be read", "it has lines that are no fields"]
        );
    }
}
