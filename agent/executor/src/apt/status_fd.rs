//! The reader of apt's status descriptor (`APT::Status-Fd`): how far it is, and what went wrong with which package.
//!
//! `KIND:NAME:PERCENT:TEXT`, where the name may hold a colon, as in `lab:i386`, and the text any number. A line that
//! can't be read is no news: apt's words may be cut or new, and nothing is decided by them.

/// One line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StatusLine<'a> {
    /// Of the fetching.
    Download { permille: u16, text: &'a str },
    /// dpkg is started; no package's turn goes on.
    Start,
    /// What dpkg does with which package, and how far it is with all.
    Package { name: &'a str, permille: u16, text: &'a str },
    /// What failed: a package, or the path of its archive.
    Error { subject: &'a str, message: &'a str },
    /// dpkg would have asked about this configuration file.
    Conffile { path: &'a str },
}

impl<'a> StatusLine<'a> {
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let (kind, rest) = line.split_once(':')?;
        let (name, permille, text) = split(rest)?;
        match kind {
            "dlstatus" => Some(Self::Download { permille, text }),
            "pmstatus" if name == "dpkg-exec" => Some(Self::Start),
            "pmstatus" => Some(Self::Package { name, permille, text }),
            "pmerror" => Some(Self::Error { subject: name, message: text }),
            "pmconffile" => Some(Self::Conffile { path: name }),
            _ => None,
        }
    }
}

/// Splits `NAME:PERCENT:TEXT` at the first field that is a percentage.
fn split(rest: &str) -> Option<(&str, u16, &str)> {
    rest.match_indices(':').take(4).find_map(|(at, _)| {
        let (name, rest) = rest.split_at(at);
        let rest = rest.strip_prefix(':')?;
        let (percent, text) = rest.split_once(':')?;
        (!name.is_empty()).then_some((name, permille(percent)?, text))
    })
}

/// `43.7500`, with a point: a package's name is no such number.
fn permille(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let tenth = part.bytes().next().map_or(0, |digit| u32::from(digit - b'0'));
    let permille = whole.parse::<u32>().ok()?.saturating_mul(10).saturating_add(tenth);
    u16::try_from(permille.min(1_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<StatusLine<'_>>) {
        assert_eq!(StatusLine::parse(line), expected);
    }

    #[test]
    fn the_lines_of_apt_are_read() {
        // As apt 2.6 writes them.
        check(
            "dlstatus:1:43.7512:Retrieving file 1 of 2",
            Some(StatusLine::Download { permille: 437, text: "Retrieving file 1 of 2" }),
        );
        check("pmstatus:dpkg-exec:0.0000:Running dpkg", Some(StatusLine::Start));
        check(
            "pmstatus:lab-app:20.0000:Preparing lab-app (amd64)",
            Some(StatusLine::Package { name: "lab-app", permille: 200, text: "Preparing lab-app (amd64)" }),
        );
        check(
            "pmerror:lab:i386:60.0000:a script: exit status 1",
            Some(StatusLine::Error { subject: "lab:i386", message: "a script: exit status 1" }),
        );
        check(
            "pmerror:/var/cache/apt/archives/lab_1%3a1.1_all.deb:20.0000:trying to overwrite '/x'",
            Some(StatusLine::Error {
                subject: "/var/cache/apt/archives/lab_1%3a1.1_all.deb",
                message: "trying to overwrite '/x'",
            }),
        );
        check(
            "pmconffile:/etc/lab.conf:50.0000:'/etc/lab.conf' '/etc/lab.conf.dpkg-new' 1 1",
            Some(StatusLine::Conffile { path: "/etc/lab.conf" }),
        );
    }

    #[test]
    fn garbage_is_no_news() {
        for line in [
            "",
            ":",
            "pmstatus",
            "pmstatus:",
            "pmstatus::1.0:text",
            "pmstatus:lab:text",
            "pmstatus:lab:1,5:text",
            "pmstatus:lab:nan:text",
            "pmstatus:lab:-1.0:text",
            "media-change:disc:drive:text",
            "\u{fffd}\u{0}:::::::",
        ] {
            check(line, None);
        }
        let giant = "pmstatus:lab:999999999.9999:x";
        check(giant, Some(StatusLine::Package { name: "lab", permille: 1_000, text: "x" }));
    }
}
