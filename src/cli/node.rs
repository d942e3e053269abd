//! `juno node`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, PassphraseArgs, style};
use crate::config::read_node;

/// Run a node until it is told to stop (SIGINT or SIGTERM).
#[derive(Args)]
pub(crate) struct Node {
    /// The node's configuration.
    #[arg(long, short, value_name = "FILE", default_value = "node.toml")]
    config: PathBuf,
    /// Start although the data directory was moved or copied. Only if the original is gone for good: two running copies
    /// of one voter break its promises to the others.
    #[arg(long)]
    accept_moved_directory: bool,
    /// What to log: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "JUNO_LOG")]
    log: tracing::Level,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Also stop when standard input ends. For programs that start nodes: none outlives the program.
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

impl Node {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        tracing_subscriber::fmt()
            .with_max_level(self.log)
            .with_writer(std::io::stderr)
            .with_ansi(style::is_watched())
            .with_target(false)
            .init();
        let options = read_node(&self.config, &self.passphrase.source(), self.accept_moved_directory)?;
        for warning in warnings(&options) {
            anstream::eprintln!("{} {warning}", style::paint(style::REFUSAL, "warning:"));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|e| CliError::new(format!("cannot start: {e}")))?;
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let shutdown = async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    () = stdin_ended(), if self.stop_with_stdin => {}
                }
            };
            crate::node::run(options, shutdown).await.map_err(CliError::from)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits for the end of standard input. A thread of its own reads it, because a blocking read in the runtime would keep
/// the runtime from ending.
async fn stdin_ended() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let _ = receiver.await;
}

/// What is allowed, but rarely meant.
fn warnings(options: &crate::node::Options) -> Vec<String> {
    let mut warnings = Vec::new();
    let open = options.read_access == crate::node::ReadAccess::Open;
    let is_public = |address: std::net::SocketAddr| !address.ip().is_loopback();
    if open && (is_public(options.http_listen) || is_public(options.stream_listen)) {
        let text = "everyone who can reach this node may read all balances; set read_access = \"token\"";
        warnings.push(text.to_owned());
    }
    if options.http_tls.is_none() && (is_public(options.http_listen) || is_public(options.stream_listen)) {
        warnings.push("clients reach this node without TLS; set [http_tls], or listen on loopback only".to_owned());
    }
    warnings
}
