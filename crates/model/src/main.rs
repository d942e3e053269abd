//! Searches the model and prints what it found.

use std::process::ExitCode;

use clap::Parser;
use model::search::search;
use model::setting::{Setting, Weakening};
use model::table;

/// Searches a small model of the voting rules: agreement holds with all of them, and is lost without any one of them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Print, step by step, how the rules without this one come to a fork; `list` prints the names.
    #[arg(long, value_name = "NAME")]
    path: Option<String>,
    /// Search only these blocks per term, with all rules, under Byzantine faults: for example 1,1,2
    #[arg(long, value_name = "N,..", value_delimiter = ',', conflicts_with = "path")]
    blocks: Vec<u8>,
    /// With --blocks: no block is higher.
    #[arg(long, value_name = "H", default_value_t = u8::MAX, requires = "blocks")]
    height: u8,
    /// With --blocks: search no further than this many steps.
    #[arg(long, value_name = "STEPS", requires = "blocks")]
    depth: Option<usize>,
    /// With --blocks: under crash faults.
    #[arg(long, requires = "blocks")]
    crash: bool,
    /// With --blocks: leave this rule out.
    #[arg(long, value_name = "NAME", requires = "blocks")]
    without: Option<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("model: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    match &arguments.path {
        Some(name) if name == "list" => {
            Weakening::ALL.iter().for_each(|weakening| println!("{}", weakening.name()));
            Ok(true)
        }
        Some(name) => print_path(weakening(name)?),
        None if arguments.blocks.is_empty() => {
            print_table(table::sound().into_iter().chain(Weakening::ALL.map(table::weakened)))
        }
        None => {
            let shape = if arguments.crash { table::crash } else { table::byzantine };
            let setting = shape(&arguments.blocks, arguments.height);
            let weakening = arguments.without.as_deref().map(weakening).transpose()?;
            print_table([Setting { depth_max: arguments.depth, weakening, ..setting }].into_iter())
        }
    }
}

fn weakening(name: &str) -> Result<Weakening, String> {
    let found = Weakening::ALL.into_iter().find(|weakening| weakening.name() == name);
    found.ok_or_else(|| format!("no rule set is called {name}; --path list prints the names"))
}

fn print_path(weakening: Weakening) -> Result<bool, String> {
    let setting = table::weakened(weakening);
    let outcome = search(&setting).map_err(|error| error.to_string())?;
    println!("{}, {}", setting.describe(), weakening.name());
    match &outcome.fork {
        Some(lines) => {
            for (step, line) in (1..).zip(lines) {
                println!("{step:>3}  {line}");
            }
        }
        None => println!("no fork in {} states, {} steps deep", outcome.states, outcome.depth),
    }
    Ok(outcome.fork.is_some())
}

fn print_table(settings: impl Iterator<Item = Setting>) -> Result<bool, String> {
    println!("{}", table::heading());
    let mut good = true;
    for setting in settings {
        let outcome = search(&setting).map_err(|error| error.to_string())?;
        println!("{}", table::row(&setting, &outcome));
        good &= table::as_expected(&setting, &outcome);
    }
    Ok(good)
}
