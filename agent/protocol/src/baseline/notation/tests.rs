//! The notations: lines, strictness, bounds.

use super::*;

/// A tree in short: what stands on which line.
fn drawn(node: &Node) -> String {
    let line = node.line;
    match &node.value {
        Value::List(items) => format!("{line}[{}]", items.iter().map(drawn).collect::<Vec<_>>().join(" ")),
        Value::Table(entries) => {
            let entry = |entry: &Entry| format!("{}@{}={}", entry.key, entry.line, drawn(&entry.node));
            format!("{line}{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        Value::Null => format!("{line}null"),
        Value::Alias => format!("{line}*"),
        Value::Boolean(value) => format!("{line}{value}"),
        Value::Number(text) | Value::Date(text) => format!("{line}{text}"),
        Value::Text(text) => format!("{line}{text:?}"),
    }
}

#[track_caller]
fn check_json(text: &str, expected: &str) {
    let shown = match json::parse(text) {
        Ok(node) => drawn(&node),
        Err(broken) => format!("{}: {}", broken.line, broken.message),
    };
    assert_eq!(shown, expected, "{text}");
}

#[track_caller]
fn check_toml(text: &str, expected: &str) {
    let shown = match toml::parse(text) {
        Ok(node) => drawn(&node),
        Err(broken) => {
            broken.iter().map(|it| format!("{}: {}", it.line, it.message)).collect::<Vec<_>>().join("\n")
        }
    };
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn every_value_of_json_knows_its_line() {
    check_json("{}", "1{}");
    check_json(
        "\n{\"a\":\n[1, 2.5e3,\n \"x\\n\\u0041\"], \"b\" : null}",
        "2{a@2=3[3\"1\" 3\"2.5e3\" 4\"x\\nA\"] b@4=4null}"
            .replace("\"1\"", "1")
            .replace("\"2.5e3\"", "2.5e3")
            .as_str(),
    );
    check_json("{\"a\": true,\r\n \"a\": false}", "1{a@1=1true a@2=2false}");
}

#[test]
fn json_is_strict() {
    check_json("", "1: this is not JSON: EOF while parsing a value");
    check_json("{\"a\": 1,}", "1: this is not JSON: trailing comma");
    check_json("{\n// no\n}", "2: this is not JSON: key must be a string");
    check_json("[1]\n[2]", "2: this is not JSON: trailing characters");
    check_json("[NaN]", "1: this is not JSON: expected value");
    check_json("['a']", "1: this is not JSON: expected value");
    check_json("[\n\"\\ud800\"]", "2: this is not JSON: unexpected end of hex escape at line 1 column 8");
}

#[test]
fn every_value_of_toml_knows_its_line() {
    check_toml(
        "a = 1\nb = [\n 'x',\n 2026-11-30]\n[[c]]\nz = true\ny = 0x10\n",
        "1{a@1=11 b@2=2[3\"x\" 42026-11-30] c@5=5[5{z@6=6true y@7=716}]}",
    );
    check_toml("a = 1\na = 2\n", "2: this is not TOML: duplicate key");
}

#[test]
fn every_value_of_yaml_knows_its_line() {
    let text = "# x\na: 1.10\nb:\n- ~\n- 'true'\n- true\n- {c: &d e, f: *d}\ng: |\n  h\n";
    let node = yaml::parse(text).unwrap();
    let expected = "2{a@2=2\"1.10\" b@3=4[4null 5\"true\" 6true 7{c@7=7\"e\" f@7=7*}] g@8=9\"h\\n\"}";
    assert_eq!(drawn(&node), expected);
    assert_eq!(yaml::parse("a: 'b").unwrap_err().line, 1);
}

#[test]
fn nothing_lies_deeper_than_the_bound() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json::parse(&deep(MAX_DEPTH)).is_ok());
    for depth in [MAX_DEPTH + 1, 100_000] {
        assert_eq!(json::parse(&deep(depth)).unwrap_err(), Broken::too_deep(1));
    }
    assert!(toml::parse(&format!("a = {}", deep(MAX_DEPTH - 1))).is_ok());
    for depth in [MAX_DEPTH + 1, 100_000] {
        assert!(toml::parse(&format!("a = {}", deep(depth))).is_err());
    }
}

#[test]
fn a_text_is_utf_8_with_or_without_its_mark() {
    assert_eq!(decode(b"\xef\xbb\xbf{}"), Ok("{}"));
    assert_eq!(decode(b"a\nb\xff").unwrap_err().line, 2);
    assert_eq!(decode(b"\xff\xfe{\0").unwrap_err().message, "the file is UTF-16; save it as UTF-8");
}
