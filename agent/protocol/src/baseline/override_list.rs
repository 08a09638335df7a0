//! The `InstallOverrideList` of AWS-RunPatchBaseline: YAML with `patches`, each with an `id` and maybe a `title`. Other
//! keys have no meaning.

use patchd_core::baseline::override_list::{InstallOverride, OverrideEntry};

use super::notation::{self, Broken, Node};
use super::section::{Findings, Located, Place, Section, shown};
use super::{MAX_BASELINE, Mistakes};

const PATCHES: &str = "patches";

/// Reads a list. `name` is what mistakes call the file.
pub fn read(name: &str, content: &[u8]) -> Result<InstallOverride, Mistakes> {
    let mut findings = Findings::new(name);
    let list = match parse(content) {
        Ok(node) => read_list(&node, &mut findings),
        Err(Broken { line, message }) => {
            findings.broken(Some(line), message);
            InstallOverride::default()
        }
    };
    if findings.mistakes.is_empty() { Ok(list) } else { Err(findings.into_mistakes()) }
}

fn parse(content: &[u8]) -> Result<Node, Broken> {
    if MAX_BASELINE < content.len() {
        let message = format!("the file is bigger than {MAX_BASELINE} bytes, which no list is");
        return Err(Broken { line: 1, message });
    }
    notation::yaml::parse(notation::decode(content)?)
}

fn read_list(node: &Node, findings: &mut Findings) -> InstallOverride {
    let mut list = InstallOverride::default();
    let Some(mut section) = Section::of(node, Place::top(node.line), findings) else { return list };
    if !section.has(PATCHES) {
        findings.mistake(&section.place, format!("there is no list of {PATCHES}"));
    }
    let Some((items, _)) = section.list(PATCHES, findings) else { return list };
    for (item, place) in items {
        list.entries.extend(read_entry(item, place, findings));
    }
    list
}

fn read_entry(node: &Node, place: Place, findings: &mut Findings) -> Option<OverrideEntry> {
    let mut section = Section::of(node, place, findings)?;
    let id = section.text("id", findings);
    if section.get("id").is_none() {
        findings.mistake(&section.place, "an entry needs an id, such as 'kernel.x86_64'");
    }
    let title = section.text("title", findings);
    let (id, title) = (id?, title);
    let mut check = |text: &Located<String>| {
        if let Err(reason) = OverrideEntry::parse(&text.value, None) {
            findings.mistake(&text.place, format!("\"{}\" names no package: {reason}", shown(&text.value)));
        }
    };
    check(&id);
    if let Some(title) = &title {
        check(title);
    }
    OverrideEntry::parse(&id.value, title.as_ref().map(|title| title.value.as_str())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries as `id title`, or the mistakes.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let told: Vec<_> = match read("list", text.as_bytes()) {
            Ok(list) => list
                .entries
                .iter()
                .map(|entry| format!("{} {}", entry.id(), entry.title().unwrap_or("-")))
                .collect(),
            Err(mistakes) => mistakes.to_string().lines().map(str::to_owned).collect(),
        };
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn ids_and_titles_are_read_and_other_keys_are_not() {
        let text = "# what was tested\npatches:\n  - id: 'kernel.x86_64'\n  - id: 'bind*.x86_64'\n    title: 1.10\n    \
                    owner: {a: [1, 2]}\n  - {id: \"dhcp*\", title: ~}\nversion: &x 2\nother: *x\n";
        check(text, &["kernel.x86_64 -", "bind*.x86_64 1.10", "dhcp* -"]);
        check("{\"patches\": [{\"id\": \"a\"}]}", &["a -"]);
        check("patches: []", &[]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        check("", &["list:1: $: it must be a table of keys and values, not nothing"]);
        check("- id: a", &["list:1: $: it must be a table of keys and values, not a list"]);
        check("patchs:\n  - id: a\n", &["list:1: $: there is no list of patches"]);
        check("patches: a", &["list:1: $.patches: it must be a list, not a text"]);
        check(
            "patches:\n  - id: a\n  - title: b\n  - id:\n      - c\n  - id: true\n  - id: 'd e'\n    title: ''\n  - 7\n  - id: ~\n",
            &[
                "list:3: $.patches[1]: an entry needs an id, such as 'kernel.x86_64'",
                "list:4: $.patches[2].id: it must be a text in quotes, not a list",
                "list:6: $.patches[3].id: it must be a text in quotes, not true or false",
                "list:7: $.patches[4].id: \"d e\" names no package: it has the character ' '",
                "list:8: $.patches[4].title: \"\" names no package: it is empty",
                "list:9: $.patches[5]: it must be a table of keys and values, not a text",
                "list:10: $.patches[6]: an entry needs an id, such as 'kernel.x86_64'",
            ],
        );
        check(
            "patches:\n  - id: a\n    id: b\n",
            &["list:3: $.patches[0].id: the key is there already, further up; keep one of them"],
        );
        check(
            "patches: [\n",
            &["list:2: this is not YAML: while parsing a node, did not find expected node content"],
        );
        check(
            "a: [b: '\\",
            &["list:1: this is not YAML: while scanning a quoted scalar, found unexpected end of stream"],
        );
        check("patches: []\n---\npatches: []\n", &["list:3: a second document begins here; keep one"]);
        check("? [a]\n: b\n", &["list:1: a key must be a text, not a list"]);
    }

    #[test]
    fn no_text_grows_while_it_is_read() {
        let mut laughs = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
        for (at, name) in ('b'..='z').enumerate() {
            let before = char::from(b'a' + u8::try_from(at).unwrap());
            laughs.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(", ")));
        }
        check(&format!("{laughs}patches:\n  - id: a\n"), &["a -"]);
        check(
            "a: &a b\npatches:\n  - id: *a\n",
            &["list:3: $.patches[0].id: it must be a text in quotes, not an alias; write the value itself"],
        );
        for depth in [33, 100_000] {
            let mistakes = read("list", "[".repeat(depth).as_bytes()).unwrap_err();
            assert!(mistakes.list().len() == 1, "{mistakes}");
        }
        let deep = (0..2_000).map(|depth| format!("{}-\n", " ".repeat(depth / 16))).collect::<String>();
        assert!(read("list", deep.as_bytes()).is_err());
    }
}
