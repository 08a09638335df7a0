//! What has to hold for any bytes: called by the fuzz targets, and by the ordinary tests with the corpus.

use std::io::{self, Read};
use std::path::Path;

use patchd_host::deb822::{End, StanzaReader};

/// More than a reader may list, whatever it reads.
const MOST_PROBLEMS: usize = 300;

/// A status file gives sorted packages with versions, and a bounded list of problems; nothing at all is a problem.
pub(crate) fn dpkg_status(content: &[u8]) {
    let inventory = patchd_host::dpkg::parse_status(content, Path::new("status"));
    assert!(inventory.packages.is_sorted_by(|a, b| a.id < b.id));
    assert!(inventory.packages.iter().all(|package| package.state.has_files()));
    assert!(inventory.problems.len() < MOST_PROBLEMS);
    assert!(!inventory.packages.is_empty() || !inventory.problems.is_empty());
}

/// Hands out one byte at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(1);
        self.0.read(buffer.get_mut(..count).unwrap_or_default())
    }
}

/// Stanzas are the same however the bytes arrive, come in order, and lose nothing but empty lines and what is cut.
pub(crate) fn deb822(content: &[u8]) {
    const LIMIT: usize = 64;
    let collect = |source: &mut dyn Read| {
        let mut reader = StanzaReader::with_limit(source, LIMIT);
        let mut stanzas = Vec::new();
        while let Ok(Some(stanza)) = reader.next_stanza() {
            assert!(stanza.bytes.len() <= LIMIT && !stanza.bytes.is_empty());
            let fields = stanza.fields().count();
            assert!(fields <= stanza.bytes.len());
            stanzas.push((stanza.line, stanza.end, stanza.bytes.to_vec()));
        }
        stanzas
    };
    let stanzas = collect(&mut &*content);
    assert_eq!(stanzas, collect(&mut Drip(content)));
    assert!(stanzas.is_sorted_by(|a, b| a.0 < b.0));
    if stanzas.iter().all(|(_, end, _)| *end != End::CutHere) {
        let kept: usize = stanzas.iter().map(|(_, _, bytes)| count_of_others(bytes)).sum();
        assert_eq!(kept, count_of_others(content));
    }
}

/// How many bytes are no line ends.
fn count_of_others(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| !b"\r\n".contains(byte)).count()
}

/// A value holds no line end, whatever its file does.
pub(crate) fn os_release(content: &[u8]) {
    let (os, bad_lines) = patchd_host::os::parse(content);
    assert!(bad_lines.is_sorted_by(|a, b| a.0 < b.0));
    assert!(!os.id.contains('\n') && !os.pretty_name.contains('\n'));
    assert!(os.id_like.iter().all(|word| !word.contains(|c: char| c.is_ascii_whitespace())));
}
