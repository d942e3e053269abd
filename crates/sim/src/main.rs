//! `cargo run --release -p sim -- --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sim::cli::main()
}
