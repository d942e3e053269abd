//! The `juno` command.

fn main() -> std::process::ExitCode {
    juno::cli::main()
}
