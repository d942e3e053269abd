//! `juno contract test`: runs the `test` blocks of contracts, here, without a cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use hopper::library::Library;
use hopperc::diagnostic::{SourceFile, render};
use hopperc::testing::{self, Report, Test};
use ledger::cash;

use super::{cost_text, source};
use crate::cli::{CliError, REFUSED, style};

#[derive(Args)]
pub(crate) struct RunTests {
    /// Contracts; each with those it imports.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Run only tests whose names contain this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print also what each action of a test that passed changed and cost.
    #[arg(long)]
    diffs: bool,
    /// Print coverage of files, not of functions.
    #[arg(long)]
    brief: bool,
}

impl RunTests {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let sources = source::contracts(&self.files)?;
        let wanted = |name: &str| self.only.as_ref().is_none_or(|part| name.contains(part.as_str()));
        // The ledger's money, unless the files bring a module of that name.
        let own = |s: &SourceFile| source::heading_of(s).name == cash::unit().module.name.as_str();
        let library = if sources.iter().any(own) { Library::default() } else { cash::library() };
        let report = match testing::run(&sources, &library, &wanted) {
            Ok(report) => report,
            Err(told) => {
                anstream::eprint!("{}", render(&sources, &told, true));
                return Err(CliError::new("a contract is refused; nothing was run"));
            }
        };
        anstream::print!("{}", self.text(&sources, &report));
        Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }

    fn text(&self, sources: &[SourceFile], report: &Report) -> String {
        let mut out = String::new();
        for (file, source) in sources.iter().enumerate() {
            let tests: Vec<&Test> = report.tests.iter().filter(|t| t.span.file == file).collect();
            if tests.is_empty() {
                continue;
            }
            out += &format!("{}\n", source.name);
            for test in tests {
                let passed = test.told.is_empty();
                let (colour, word) = if passed { (style::RESULT, "pass") } else { (style::ERROR, "FAIL") };
                out += &format!("  {} {}\n", style::paint(colour, word), test.name);
                if !passed || self.diffs {
                    out += &steps(test);
                }
                out += &render(sources, &test.told, true);
            }
        }
        out + &self.coverage(sources, report) + &summary(report)
    }

    fn coverage(&self, sources: &[SourceFile], report: &Report) -> String {
        let mut out = format!("{}\n", style::paint(style::FAINT, "coverage"));
        for (file, source) in sources.iter().enumerate() {
            let functions = report.functions.iter().filter(|f| f.span.file == file);
            let (ran, places) = functions.clone().fold((0, 0), |sum, f| (sum.0 + f.ran, sum.1 + f.places));
            out += &format!("  {:>3} %  {}\n", percent(ran, places), source.name);
            for f in functions.filter(|_| !self.brief) {
                let lines = [("not run: lines", &f.missed), ("in part: lines", &f.partly)];
                let lines = lines.iter().filter(|(_, lines)| !lines.is_empty());
                let lines: Vec<String> = lines.map(|(what, lines)| format!("{what} {}", ranges(lines))).collect();
                let lines = if lines.is_empty() { String::new() } else { format!("  {}", lines.join("; ")) };
                out += &format!("  {:>3} %    {}{}\n", f.percent(), f.name, style::paint(style::FAINT, lines));
            }
        }
        out
    }
}

fn percent(ran: usize, places: usize) -> usize {
    (ran * 100).checked_div(places).unwrap_or(100)
}

fn steps(test: &Test) -> String {
    let mut out = String::new();
    for step in &test.steps {
        let ended = match &step.ended {
            Ok(result) if result == "()" => String::new(),
            Ok(result) => format!(" = {result}"),
            Err(why) => format!(" -- {why}"),
        };
        let cost = style::paint(style::FAINT, format!("({})", cost_text(&step.cost)));
        out += &format!("    {}{ended} {cost}\n", step.text);
        step.changes.iter().for_each(|line| out += &format!("      {line}\n"));
    }
    out
}

/// `3, 5-7`
fn ranges(lines: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == *line => *end = *line,
            _ => runs.push((*line, *line)),
        }
    }
    let text = |(a, b): &(usize, usize)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn summary(report: &Report) -> String {
    let failed = report.tests.iter().filter(|t| !t.told.is_empty()).count();
    let text = format!("{} passed, {failed} failed", report.tests.len() - failed);
    let colour = if failed == 0 { style::RESULT } else { style::ERROR };
    format!("{}\n", style::paint(colour, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_runs() {
        assert_eq!(ranges(&[3, 5, 6, 7, 9]), "3, 5-7, 9");
        assert_eq!(ranges(&[]), "");
    }
}
