//! TOML with the line of every value, from the spans of the `toml` crate. A key that is there twice is no TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Broken, Entry, Lines, MAX_DEPTH, Node, Value};

pub(in crate::baseline) fn parse(text: &str) -> Result<Node, Vec<Broken>> {
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let broken = errors.iter().map(|error| {
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            let line = lines.at(error.span().map_or(0, |span| span.start));
            Broken { line, message: format!("this is not TOML: {message}") }
        });
        return Err(broken.collect());
    }
    table(document.get_ref(), &lines, 0).map(|value| Node { line: 1, value }).map_err(|broken| vec![broken])
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines, depth: usize) -> Result<Node, Broken> {
    let line = lines.at(value.span().start);
    if MAX_DEPTH < depth {
        return Err(Broken::too_deep(line));
    }
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.as_ref().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or_else(
            |_| Value::Number(number.as_str().to_owned()),
            |number| Value::Number(number.to_string()),
        ),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| node(item, lines, depth + 1)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(inner) => table(inner, lines, depth)?,
    };
    Ok(Node { line, value })
}

fn table(table: &DeTable<'_>, lines: &Lines, depth: usize) -> Result<Value, Broken> {
    let mut entries = Vec::new();
    for (key, value) in table {
        let at = key.span().start;
        let entry = Entry {
            key: key.get_ref().as_ref().to_owned(),
            line: lines.at(at),
            node: node(value, lines, depth + 1)?,
        };
        entries.push((at, entry));
    }
    // The crate sorts by name.
    entries.sort_by_key(|(at, _)| *at);
    Ok(Value::Table(entries.into_iter().map(|(_, entry)| entry).collect()))
}
