//! JSON with the line of every value. The grammar is serde_json's, to the letter: where in the text a value stands is
//! told by the slice that `RawValue` borrows.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Broken, Entry, Lines, MAX_DEPTH, Node, Value};

pub(in crate::baseline) fn parse(text: &str) -> Result<Node, Broken> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| {
        // Reading it in full tells the reason better: a trailing comma is called so.
        let error = serde_json::from_str::<serde_json::Value>(text).err().unwrap_or(error);
        let full = error.to_string();
        let reason = full.rsplit_once(" at line ").map_or(full.as_str(), |(reason, _)| reason);
        Broken { line: error.line().max(1), message: format!("this is not JSON: {reason}") }
    })?;
    Document { text, lines: Lines::of(text) }.node(whole, 0)
}

struct Document<'a> {
    text: &'a str,
    lines: Lines,
}

impl<'a> Document<'a> {
    /// Every level reads its part of the text again, so the depth bounds the work.
    fn node(&self, raw: &'a RawValue, depth: usize) -> Result<Node, Broken> {
        let line = self.line(raw);
        if MAX_DEPTH < depth {
            return Err(Broken::too_deep(line));
        }
        let value = match raw.get().as_bytes().first() {
            Some(b'{') => {
                let Members(members) = self.part(raw)?;
                let entries = members.into_iter().map(|(key, value)| {
                    let node = self.node(value, depth + 1)?;
                    Ok(Entry { key: self.own(key)?, line: self.line(key), node })
                });
                Value::Table(entries.collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = self.part(raw)?;
                Value::List(
                    items.into_iter().map(|item| self.node(item, depth + 1)).collect::<Result<_, _>>()?,
                )
            }
            Some(b'"') => Value::Text(self.own(raw)?),
            Some(b't' | b'f') => Value::Boolean(self.own(raw)?),
            Some(b'n') | None => Value::Null,
            Some(_) => Value::Number(raw.get().to_owned()),
        };
        Ok(Node { line, value })
    }

    fn line(&self, raw: &RawValue) -> usize {
        self.lines.at(raw.get().as_ptr().addr().wrapping_sub(self.text.as_ptr().addr()))
    }

    fn own<T: DeserializeOwned>(&self, raw: &'a RawValue) -> Result<T, Broken> {
        self.part(raw)
    }

    /// Such a text may still be wrong in itself: half of a surrogate pair is.
    fn part<T: Deserialize<'a>>(&self, raw: &'a RawValue) -> Result<T, Broken> {
        serde_json::from_str(raw.get())
            .map_err(|error| Broken { line: self.line(raw), message: format!("this is not JSON: {error}") })
    }
}

/// The members of an object in their order, keys that are there twice included.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}
