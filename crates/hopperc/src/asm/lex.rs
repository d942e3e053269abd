//! Characters to tokens.

use super::AsmError;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tok {
    /// A name; true if it stood in backquotes, and so is no keyword.
    Name(String, bool),
    /// Decimal digits.
    Number(String),
    /// A text in quotes.
    Text(String),
    /// `0x...`.
    Bytes(Vec<u8>),
    /// `#...`.
    Hash(String),
    /// Punctuation.
    Sym(&'static str),
    /// The end of the text.
    End,
}

impl std::fmt::Display for Tok {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tok::Name(name, _) => write!(f, "`{name}`"),
            Tok::Number(digits) => f.write_str(digits),
            Tok::Text(_) => f.write_str("a text"),
            Tok::Bytes(_) => f.write_str("bytes"),
            Tok::Hash(_) => f.write_str("a module's id"),
            Tok::Sym(sym) => write!(f, "`{sym}`"),
            Tok::End => f.write_str("the end of the text"),
        }
    }
}

/// A token and where it starts.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub tok: Tok,
    pub line: usize,
    pub column: usize,
}

/// Longer ones first.
const SYMS: [&str; 27] = [
    "=>", "->", "<=", ">=", "==", "!=", "&&", "{", "}", "(", ")", "[", "]", "<", ">", ",", ".", ":", ";", "=", "@",
    "?", "/", "*", "+", "-", "|",
];

struct Chars<'t> {
    rest: &'t str,
    line: usize,
    column: usize,
}

impl<'t> Chars<'t> {
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        for c in taken.chars() {
            if c == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, test: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !test(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, AsmError> {
        Err(AsmError { line: self.line, column: self.column, message: message.into() })
    }
}

/// All tokens; the last is [`Tok::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Token>, AsmError> {
    let mut chars = Chars { rest: text, line: 1, column: 1 };
    let mut tokens = Vec::new();
    loop {
        chars.take_while(char::is_whitespace);
        if chars.rest.starts_with("--") || chars.rest.starts_with("//") {
            chars.take_while(|c| c != '\n');
            continue;
        }
        let (line, column) = (chars.line, chars.column);
        let Some(first) = chars.rest.chars().next() else {
            tokens.push(Token { tok: Tok::End, line, column });
            return Ok(tokens);
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let tok = if first.is_ascii_alphabetic() || first == '_' {
            Tok::Name(chars.take_while(word).to_owned(), false)
        } else if chars.rest.starts_with("0x") {
            chars.take(2);
            match wire::hash::decode_hex_bytes(chars.take_while(word)) {
                Ok(bytes) => Tok::Bytes(bytes),
                Err(_) => return chars.fail("expected an even number of digits 0-9, a-f after 0x"),
            }
        } else if first.is_ascii_digit() {
            Tok::Number(chars.take_while(|c| c.is_ascii_digit() || c == '_').replace('_', ""))
        } else if first == '#' {
            chars.take(1);
            Tok::Hash(chars.take_while(word).to_owned())
        } else if first == '`' {
            chars.take(1);
            let name = chars.take_while(|c| c != '`' && c != '\n').to_owned();
            if !chars.rest.starts_with('`') {
                return chars.fail("expected a ` that ends the name");
            }
            chars.take(1);
            Tok::Name(name, true)
        } else if first == '"' {
            chars.take(1);
            Tok::Text(quoted(&mut chars)?)
        } else {
            match SYMS.iter().find(|sym| chars.rest.starts_with(**sym)) {
                Some(sym) => {
                    chars.take(sym.len());
                    Tok::Sym(sym)
                }
                None => return chars.fail(format!("{first:?} has no meaning here; texts stand in \"\"")),
            }
        };
        tokens.push(Token { tok, line, column });
    }
}

/// The rest of a text after its first quote.
fn quoted(chars: &mut Chars<'_>) -> Result<String, AsmError> {
    let mut text = String::new();
    loop {
        text.push_str(chars.take_while(|c| c != '"' && c != '\\'));
        if chars.rest.starts_with('"') {
            chars.take(1);
            return Ok(text);
        }
        if chars.rest.is_empty() {
            return chars.fail("expected a \" that ends the text");
        }
        chars.take(1);
        let Some(c) = chars.rest.chars().next() else { return chars.fail("expected a character after \\") };
        chars.take(c.len_utf8());
        match c {
            '"' | '\\' => text.push(c),
            'n' => text.push('\n'),
            'u' => {
                let digits = chars.take_while(|c| c.is_ascii_hexdigit() || c == '{');
                let code = u32::from_str_radix(digits.trim_start_matches('{'), 16).ok().and_then(char::from_u32);
                let Some(code) = code else { return chars.fail("expected a character as \\u{7f}") };
                if !chars.rest.starts_with('}') {
                    return chars.fail("expected } after \\u{...");
                }
                chars.take(1);
                text.push(code);
            }
            _ => return chars.fail("expected one of n, \", \\, u{...} after \\"),
        }
    }
}
