//! Places in a text: bytes here, lines and UTF-16 units at the client's.
//!
//! A line ends with a line feed, a carriage return, or both, as the protocol wants it (Language Server Protocol 3.17, Text
//! Documents). What a client says of places is never trusted: it is moved to the nearest place that is there.

use std::ops::Range;

use lsp_types::{Position, TextDocumentContentChangeEvent};

/// Where each line begins and where its text ends, in bytes.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let bytes = text.as_bytes();
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let end = (start..bytes.len()).find(|n| matches!(bytes[*n], b'\n' | b'\r'));
        next = end.map(|n| if bytes[n..].starts_with(b"\r\n") { n + 2 } else { n + 1 });
        Some(start..end.unwrap_or(bytes.len()))
    })
}

/// The byte that a position means. A column behind the line's end is its end, and a line behind the last is the end of the text.
pub(super) fn offset(text: &str, position: Position) -> usize {
    let Some(line) = lines(text).nth(position.line as usize) else { return text.len() };
    let mut units = 0;
    for (at, character) in text[line.clone()].char_indices() {
        // A position between the two halves of a character is before it.
        units += character.len_utf16();
        if units > position.character as usize {
            return line.start + at;
        }
    }
    line.end
}

/// The position of a byte. One inside a character is before it.
pub(super) fn position(text: &str, offset: usize) -> Position {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let found = lines(text).enumerate().take_while(|(_, line)| line.start <= offset).last();
    let (line, range) = found.unwrap_or((0, 0..0));
    let units: usize = text[range.start..offset.min(range.end)].chars().map(char::len_utf16).sum();
    Position { line: line as u32, character: units as u32 }
}

/// A range of bytes for the client.
pub(super) fn range(text: &str, range: &Range<usize>) -> lsp_types::Range {
    let start = position(text, range.start);
    lsp_types::Range { start, end: position(text, range.end.max(range.start)) }
}

/// Makes a change that the client made.
pub(super) fn apply(text: &mut String, change: TextDocumentContentChangeEvent) {
    let Some(range) = change.range else {
        *text = change.text;
        return;
    };
    let start = offset(text, range.start);
    let end = offset(text, range.end).max(start);
    text.replace_range(start..end, &change.text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn columns_are_utf_16_units() {
        // Two bytes and one unit; four bytes and two units.
        let text = "ä𝄞x\r\n\r𝄞";
        let places = [(0, at(0, 0)), (2, at(0, 1)), (6, at(0, 3)), (7, at(0, 4)), (9, at(1, 0)), (10, at(2, 0))];
        for (byte, place) in places {
            assert_eq!(position(text, byte), place, "{byte}");
            assert_eq!(offset(text, place), byte, "{place:?}");
        }
        assert_eq!(position(text, 14), at(2, 2));
        assert_eq!(position(text, 99), at(2, 2));
        // Inside characters, and between the two bytes of a line's end.
        assert_eq!(position(text, 4), at(0, 1));
        assert_eq!(position(text, 8), at(0, 4));
        assert_eq!(offset(text, at(0, 2)), 2);
        // Behind a line's end, and behind the text's.
        assert_eq!(offset(text, at(0, 50)), 7);
        assert_eq!(offset(text, at(1, 1)), 9);
        assert_eq!(offset(text, at(7, 0)), text.len());
        assert_eq!(position("", 0), at(0, 0));
    }

    #[test]
    fn changes_are_made_in_order() {
        let change = |from, to, text: &str| TextDocumentContentChangeEvent {
            range: Some(lsp_types::Range { start: from, end: to }),
            range_length: None,
            text: text.to_owned(),
        };
        let mut text = "a𝄞b\nc".to_owned();
        apply(&mut text, change(at(0, 1), at(0, 3), "\n"));
        assert_eq!(text, "a\nb\nc");
        apply(&mut text, change(at(1, 0), at(9, 9), "d"));
        assert_eq!(text, "a\nd");
        // From behind to before: nothing goes away.
        apply(&mut text, change(at(1, 1), at(0, 0), "e"));
        assert_eq!(text, "a\nde");
        apply(&mut text, TextDocumentContentChangeEvent { range: None, range_length: None, text: "f".to_owned() });
        assert_eq!(text, "f");
    }
}
