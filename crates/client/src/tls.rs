//! TLS to nodes whose operators put a certificate before their API and stream.
//!
//! It keeps what is said private. Who a node is, is proven by its signatures; so a client trusts exactly the
//! certificates of the file it is given, and nothing that the system trusts.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The certificates trusted. Cheap to clone.
#[derive(Clone)]
pub struct Trust(Arc<rustls::ClientConfig>);

/// A certificate file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("certificate file {file}: {why}")]
pub struct TrustError {
    /// The file.
    pub file: String,
    /// The reason.
    pub why: String,
}

impl Trust {
    /// Trusts the certificates of a PEM file.
    ///
    /// # Errors
    /// If the file cannot be read or holds no certificate.
    pub fn read(pem: &Path) -> Result<Trust, TrustError> {
        let failed = |why: String| TrustError { file: pem.display().to_string(), why };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(pem).map_err(|e| failed(e.to_string()))? {
            let certificate = certificate.map_err(|e| failed(e.to_string()))?;
            roots.add(certificate).map_err(|e| failed(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(failed("it holds no certificate".into()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Trust(Arc::new(config)))
    }

    /// Greets the node at `authority` (`host:port`) over `socket`.
    pub(crate) async fn connect(&self, authority: &str, socket: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|e| e.to_string())?;
        TlsConnector::from(self.0.clone()).connect(name, socket).await.map_err(|e| e.to_string())
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}
