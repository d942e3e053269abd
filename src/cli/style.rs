//! How things look on a terminal: a few colours, and tables of text.

use std::fmt::Display;
use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

use super::CliError;

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(colour)))
}

/// Juno's prompt was red.
pub(crate) const PROMPT: Style = colour(AnsiColor::Red).bold();
/// And its results green.
pub(crate) const RESULT: Style = colour(AnsiColor::Green).bold();
/// What was refused.
pub(crate) const REFUSAL: Style = colour(AnsiColor::Yellow).bold();
/// What went wrong.
pub(crate) const ERROR: Style = colour(AnsiColor::Red).bold();
/// What is less important.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// The text in a style; `anstream` takes the style away again where nobody sees colours.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

pub(crate) fn print_error(error: &CliError) {
    anstream::eprintln!("{} {error}", paint(ERROR, "error:"));
}

/// True if a person watches standard error.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Columns as wide as their widest cell, two blanks between.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |n: usize| {
        let cells = rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count());
        cells.chain([head[n].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![paint(FAINT, line(head.to_vec()))];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [vec!["0".into(), "leader".into()], vec!["10".into(), "ä".into()]];
        let plain = anstream::adapter::strip_str(&table(&["id", "role"], &rows)).to_string();
        assert_eq!(plain, "id  role\n0   leader\n10  ä");
    }
}
