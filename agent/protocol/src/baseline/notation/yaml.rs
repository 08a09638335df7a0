//! YAML with the line of every value, from the events of saphyr-parser. Plain words stay texts but for `null`, `true` and
//! `false`: a version such as 1.10 is no number. Aliases are not followed, so that no text grows while it is read.

use std::mem;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::{Broken, Entry, MAX_DEPTH, Node, Value};

/// A list or a table that is still open.
struct Open {
    line: usize,
    items: Vec<Node>,
    is_table: bool,
}

pub(in crate::baseline) fn parse(text: &str) -> Result<Node, Broken> {
    let mut open: Vec<Open> = Vec::new();
    let mut whole: Option<Node> = None;
    // What is missing at the end may be missed on the line after it.
    let last = last_line(text);
    let line_of = |marker: &Marker| marker.line().clamp(1, last);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let message = format!("this is not YAML: {}", error.info().lines().collect::<Vec<_>>().join(" "));
            Broken { line: line_of(error.marker()), message }
        })?;
        let line = line_of(&span.start);
        let value = match event {
            Event::Scalar(text, style, ..) => scalar(text.into_owned(), style),
            Event::Alias(_) => Value::Alias,
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if MAX_DEPTH <= open.len() {
                    return Err(Broken::too_deep(line));
                }
                open.push(Open {
                    line,
                    items: Vec::new(),
                    is_table: matches!(event, Event::MappingStart(..)),
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(done) = open.pop() else { continue };
                let node = done.close()?;
                attach(node, &mut open, &mut whole)?;
                continue;
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        };
        attach(Node { line, value }, &mut open, &mut whole)?;
    }
    Ok(whole.unwrap_or(Node { line: 1, value: Value::Null }))
}

/// Lines end with `\n`, `\r` or both.
fn last_line(text: &str) -> usize {
    let lone =
        text.bytes().zip(text.bytes().skip(1).chain([0])).filter(|pair| pair.0 == b'\r' && pair.1 != b'\n');
    1 + text.bytes().filter(|byte| *byte == b'\n').count() + lone.count()
}

fn attach(node: Node, open: &mut [Open], whole: &mut Option<Node>) -> Result<(), Broken> {
    match open.last_mut() {
        Some(parent) => parent.items.push(node),
        None if whole.is_some() => {
            return Err(Broken {
                line: node.line,
                message: "a second document begins here; keep one".into(),
            });
        }
        None => *whole = Some(node),
    }
    Ok(())
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    match (style, text.as_str()) {
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        (ScalarStyle::Plain, "true" | "True" | "TRUE") => Value::Boolean(true),
        (ScalarStyle::Plain, "false" | "False" | "FALSE") => Value::Boolean(false),
        _ => Value::Text(text),
    }
}

impl Open {
    /// The items of a table are its keys and values in turn.
    fn close(mut self) -> Result<Node, Broken> {
        if !self.is_table {
            return Ok(Node { line: self.line, value: Value::List(mem::take(&mut self.items)) });
        }
        let mut entries = Vec::new();
        let mut items = self.items.into_iter();
        while let (Some(key), Some(node)) = (items.next(), items.next()) {
            let text = match key.value {
                Value::Text(text) => text,
                Value::Null => "null".into(),
                Value::Boolean(value) => value.to_string(),
                other => {
                    let message = format!("a key must be a text, not {}", other.describe());
                    return Err(Broken { line: key.line, message });
                }
            };
            entries.push(Entry { key: text, line: key.line, node });
        }
        Ok(Node { line: self.line, value: Value::Table(entries) })
    }
}
