//! Reads server-sent events out of bytes, as the HTML standard has them: the fields `id`, `event` and `data`, comments,
//! and the three ways to end a line. It knows nothing of what they carry, and does not reconnect: that is `follow`.

use thiserror::Error;

/// The longest line, and the longest data of one event, in bytes.
pub(crate) const MAX_LINE: usize = 1024 * 1024;

/// The longest id that is kept to come back with.
const MAX_ID: usize = 64;

/// Why a stream is read no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum StreamError {
    #[error("a line of the event stream is longer than {MAX_LINE} bytes")]
    LineTooLong,
    #[error("an event of the stream has more than {MAX_LINE} bytes")]
    EventTooLong,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// What to come back with after this one: the last id that the stream gave.
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: String,
}

/// What was read so far of a stream. The same bytes give the same events, however they were cut into pieces.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed belongs to it.
    is_after_return: bool,
    is_past_first_line: bool,
    id: Option<String>,
    name: String,
    data: Option<String>,
}

impl Parser {
    /// Takes the next bytes and gives the events that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, StreamError> {
        let mut messages = Vec::new();
        for &byte in bytes {
            let is_second_end = byte == b'\n' && std::mem::take(&mut self.is_after_return);
            self.is_after_return = byte == b'\r';
            match byte {
                b'\n' if is_second_end => {}
                b'\n' | b'\r' => messages.extend(self.end_line()?),
                _ if self.line.len() < MAX_LINE => self.line.push(byte),
                _ => return Err(StreamError::LineTooLong),
            }
        }
        Ok(messages)
    }

    fn end_line(&mut self) -> Result<Option<Message>, StreamError> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mut line = text.as_ref();
        if !std::mem::replace(&mut self.is_past_first_line, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.end_event());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "id" if value.len() <= MAX_ID && !value.contains('\0') => self.id = Some(value.to_owned()),
            "data" => self.add_data(value)?,
            // Comments, `retry`, and what later versions may have.
            _ => {}
        }
        Ok(None)
    }

    fn add_data(&mut self, value: &str) -> Result<(), StreamError> {
        match &mut self.data {
            None => self.data = Some(value.to_owned()),
            Some(data) if data.len() + value.len() < MAX_LINE => {
                data.push('\n');
                data.push_str(value);
            }
            Some(_) => return Err(StreamError::EventTooLong),
        }
        Ok(())
    }

    fn end_event(&mut self) -> Option<Message> {
        let name = std::mem::take(&mut self.name);
        let data = self.data.take()?;
        Some(Message { id: self.id.clone().filter(|id| !id.is_empty()), name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: Option<&str>, name: &str, data: &str) -> Message {
        Message { id: id.map(str::to_owned), name: name.into(), data: data.into() }
    }

    /// The events must be the same wherever the bytes are cut.
    #[track_caller]
    fn check(text: &[u8], expected: &[Message]) {
        assert_eq!(Parser::default().push(text).unwrap(), expected);
        for at in 0..=text.len() {
            let mut parser = Parser::default();
            let mut messages = parser.push(&text[..at]).unwrap();
            messages.extend(parser.push(&text[at..]).unwrap());
            assert_eq!(messages, expected, "cut at {at}");
        }
    }

    #[test]
    fn fields_make_events_however_lines_end() {
        let expected = [message(Some("7"), "moved", "{}"), message(Some("7"), "progress", "a\nb")];
        check(b"id: 7\nevent: moved\ndata: {}\n\nevent:progress\ndata:a\ndata: b\n\n", &expected);
        check(b"id: 7\r\nevent: moved\r\ndata: {}\r\n\r\nevent:progress\rdata:a\rdata: b\r\r", &expected);
        check(
            b"\xef\xbb\xbfid: 7\nevent: moved\ndata: {}\n\n: hello\nevent:progress\ndata:a\ndata: b\n\n",
            &expected,
        );
    }

    #[test]
    fn what_carries_nothing_is_no_event() {
        check(b": heartbeat\n\n", &[]);
        check(b"event: moved\nid: 1\n\n", &[]);
        check(b"retry: 5\nnonsense\nfield: value\n\n", &[]);
        check(b"data\n\n", &[message(None, "", "")]);
        // The stream ended before the event did.
        check(b"data: half", &[]);
        check(b"data: half\n", &[]);
    }

    #[test]
    fn an_id_holds_for_the_events_after_it_and_an_empty_one_ends_that() {
        let expected = [message(Some("1"), "", "a"), message(Some("1"), "", "b"), message(None, "", "c")];
        check(b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", &expected);
        check(b"id: 1\ndata: a\n\nid: \0\ndata: b\n\nid:\ndata: c\n\n", &expected);
        let long = format!("id: {}\ndata: a\n\n", "9".repeat(MAX_ID + 1));
        assert_eq!(Parser::default().push(long.as_bytes()).unwrap(), [message(None, "", "a")]);
    }

    #[test]
    fn hostile_bytes_are_bounded_and_never_more_than_text() {
        check(b"data: \xff\xfe\n\n", &[message(None, "", "\u{fffd}\u{fffd}")]);
        let endless = vec![b'a'; MAX_LINE + 1];
        assert_eq!(Parser::default().push(&endless), Err(StreamError::LineTooLong));
        let line = format!("data: {}\n", "a".repeat(MAX_LINE / 2));
        let mut parser = Parser::default();
        assert_eq!(parser.push(line.as_bytes()), Ok(vec![]));
        assert_eq!(parser.push(line.as_bytes()), Err(StreamError::EventTooLong));
    }
}
