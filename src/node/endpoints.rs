//! Where the node really listens, for whoever started it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use tokio::net::TcpListener;

use crate::node::error::NodeError;

/// The file's name in the data directory.
pub const FILE: &str = "endpoints.json";

/// The addresses bound; ports that were 0 in the options are real here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// For other voters.
    pub peer: SocketAddr,
    /// For fast clients.
    pub stream: SocketAddr,
    /// For HTTP.
    pub http: SocketAddr,
}

/// Binds a listener. A failure names the option.
pub async fn bind(option: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), NodeError> {
    let fail = |source: io::Error| NodeError::Bind { option, address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

impl Endpoints {
    /// Writes the file, whole or not at all. Its being there says: the node runs, at these addresses.
    pub fn write(&self, data: &Path) -> Result<(), NodeError> {
        let text = json!({
            "peer": self.peer.to_string(),
            "stream": self.stream.to_string(),
            "http": self.http.to_string(),
            "process": std::process::id(),
        });
        let (path, part) = (data.join(FILE), data.join("endpoints.part"));
        let written = std::fs::write(&part, format!("{text}\n")).and_then(|()| std::fs::rename(&part, &path));
        written.map_err(|source| NodeError::File { path, source })
    }

    /// Removes what an earlier run left, or this one when it ends.
    pub fn remove(data: &Path) {
        // It may not be there, and nothing depends on its going.
        let _ = std::fs::remove_file(data.join(FILE));
    }
}
