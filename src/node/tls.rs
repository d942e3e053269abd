//! TLS 1.3 with raw public keys (RFC 7250): a peer link is bound to the node keys of the membership, and to nothing
//! else. There are no certificates, names or expiry dates that could disagree with the genesis document.
//!
//! The cluster id stands in the ALPN protocol, so that two clusters on one network refuse each other by name.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer as TlsSigner, SigningKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureAlgorithm, SignatureScheme,
};
use wire::{ClusterId, Membership, NodeId, PublicKey, Signer};

use crate::node::error::NodeError;
use crate::node::options::TlsFiles;

/// What precedes the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key as SubjectPublicKeyInfo.
fn spki(key: &PublicKey) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), &key.0].concat()
}

/// The key of a SubjectPublicKeyInfo, if it is an Ed25519 key in exactly this form.
fn key_of_spki(der: &[u8]) -> Option<PublicKey> {
    Some(PublicKey(der.strip_prefix(&SPKI_PREFIX)?.try_into().ok()?))
}

/// The ALPN protocol of a cluster's peer links.
pub fn alpn(cluster: &ClusterId) -> Vec<u8> {
    format!("juno/1/{}", &cluster.to_string()[..16]).into_bytes()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Both ends of this node's peer links.
#[derive(Debug, Clone)]
pub struct PeerTls {
    membership: Arc<Membership>,
    alpn: Vec<u8>,
    identity: Arc<CertifiedKey>,
}

impl PeerTls {
    /// Links of this node, which signs with `signer`, to the voters of `membership`.
    pub fn new(cluster: &ClusterId, membership: Arc<Membership>, signer: Arc<dyn Signer>) -> PeerTls {
        let public = CertificateDer::from(spki(&signer.public_key()));
        let identity = Arc::new(CertifiedKey::new(vec![public], Arc::new(NodeKey(signer))));
        PeerTls { membership, alpn: alpn(cluster), identity }
    }

    /// For links that others dial: any voter's key is accepted, no other.
    pub fn accepting(&self) -> Arc<ServerConfig> {
        let keys = self.membership.voters.iter().map(|v| v.key).collect();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider knows TLS 1.3")
            .with_client_cert_verifier(Arc::new(Keys::new(keys)))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(self.identity.clone())));
        config.alpn_protocols = vec![self.alpn.clone()];
        // Links are few and long-lived: nothing to resume, and no tickets to keep.
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }

    /// For dialling one voter: exactly its key is accepted.
    pub fn dialling(&self, expected: PublicKey) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider knows TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Keys::new(vec![expected])))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.identity.clone())));
        config.alpn_protocols = vec![self.alpn.clone()];
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }

    /// Who is at the other end of an accepted link, once its handshake is done.
    pub fn voter_of(&self, connection: &rustls::ServerConnection) -> Option<NodeId> {
        // A client that offers no protocol at all passes rustls' own check, so it is made here.
        if connection.alpn_protocol() != Some(&self.alpn) {
            return None;
        }
        let key = key_of_spki(connection.peer_certificates()?.first()?)?;
        Some(self.membership.voter_of_key(&key)?.id)
    }

    /// True if the node that was dialled agreed on the cluster.
    pub fn same_cluster(&self, connection: &rustls::ClientConnection) -> bool {
        connection.alpn_protocol() == Some(&self.alpn)
    }
}

/// The name a dialled node is asked for. Raw public keys have no use for it.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("juno").expect("a valid name")
}

/// For people: why a handshake failed, and what to change.
pub fn explain(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match tls {
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol) | Error::NoApplicationProtocol) => {
            "the other node belongs to another cluster (the cluster ids differ); give both nodes the same genesis \
             document"
                .into()
        }
        Some(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            "the other end holds a key that the genesis document does not name for it; check `peers`, and that node's \
             key file"
                .into()
        }
        Some(Error::AlertReceived(AlertDescription::AccessDenied | AlertDescription::CertificateUnknown)) => {
            "the other node does not know this node's key; check that both have the same genesis document, and this \
             node's key file"
                .into()
        }
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

/// TLS for clients, from PEM files.
pub fn client_facing(files: &TlsFiles) -> Result<Arc<ServerConfig>, NodeError> {
    let fail = |option, path: &Path, why: String| NodeError::Tls { option, path: path.to_owned(), why };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|e| fail("http_tls.cert", &files.cert, e.to_string()))?;
    if chain.is_empty() {
        return Err(fail("http_tls.cert", &files.cert, "holds no certificate; it must be a PEM chain".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|e| fail("http_tls.key", &files.key, format!("{e}; it must be a PEM private key")))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider knows TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| fail("http_tls.key", &files.key, format!("{e}; key and certificate must belong together")))?;
    Ok(Arc::new(config))
}

/// The node's own key at work in a handshake. TLS signs 64 spaces and a context string first, so no handshake
/// signature can be mistaken for a statement of the protocol, all of which start with `juno/`.
struct NodeKey(Arc<dyn Signer>);

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({:?})", self.0.public_key())
    }
}

impl SigningKey for NodeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn TlsSigner>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(NodeKey(self.0.clone())) as Box<dyn TlsSigner>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(spki(&self.0.public_key()).into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl TlsSigner for NodeKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.sign(message).map(|s| s.0.to_vec()).map_err(|e| Error::General(e.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Accepts raw public keys out of a list.
#[derive(Debug)]
struct Keys {
    accepted: Vec<PublicKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Keys {
    fn new(accepted: Vec<PublicKey>) -> Keys {
        Keys { accepted, algorithms: aws_lc_rs::default_provider().signature_verification_algorithms }
    }

    fn check(&self, spki: &[u8]) -> Result<(), Error> {
        match key_of_spki(spki) {
            Some(key) if self.accepted.contains(&key) => Ok(()),
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, signature, &self.algorithms)
    }
}

/// TLS 1.2 is never negotiated.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(rustls::PeerIncompatible::Tls13RequiredForQuic.into())
}

impl ServerCertVerifier for Keys {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Keys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsAcceptor, TlsConnector};
    use wire::{FaultModel, Hash, Name, SecretKey, Voter};

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed([n; 32])
    }

    fn membership() -> Arc<Membership> {
        let voter = |n: u8| Voter {
            id: NodeId(n.into()),
            name: Name::new(&format!("n{n}")).unwrap(),
            key: key(n).public(),
            weight: 1,
        };
        Arc::new(Membership {
            epoch: wire::Epoch(1),
            fault_model: FaultModel::Byzantine,
            faulty_weight: 1,
            voters: (1..=4).map(voter).collect(),
        })
    }

    fn tls(cluster: u8, secret: u8) -> PeerTls {
        PeerTls::new(&ClusterId(Hash([cluster; 32])), membership(), Arc::new(key(secret)))
    }

    /// Dials; gives what the server made of it and what the client made of it.
    async fn dial(
        server: PeerTls,
        client: PeerTls,
        expected: PublicKey,
    ) -> (std::io::Result<Option<NodeId>>, std::io::Result<bool>) {
        let (a, b) = tokio::io::duplex(16 * 1024);
        let accept = tokio::spawn(async move {
            let mut link = TlsAcceptor::from(server.accepting()).accept(a).await?;
            link.write_all(&[1]).await?;
            let voter = server.voter_of(link.get_ref().1);
            link.read_u8().await?;
            Ok(voter)
        });
        let dialled = async {
            let mut link = TlsConnector::from(client.dialling(expected)).connect(server_name(), b).await?;
            link.read_u8().await?;
            link.write_all(&[1]).await?;
            link.flush().await?;
            Ok(client.same_cluster(link.get_ref().1))
        }
        .await;
        (accept.await.unwrap(), dialled)
    }

    #[tokio::test]
    async fn members_are_accepted_and_named() {
        let (accepted, dialled) = dial(tls(9, 1), tls(9, 3), key(1).public()).await;
        assert_eq!(accepted.unwrap(), Some(NodeId(3)));
        assert!(dialled.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_key_is_refused() {
        let (accepted, dialled) = dial(tls(9, 1), tls(9, 77), key(1).public()).await;
        assert!(explain(&accepted.unwrap_err()).contains("genesis document does not name"));
        let why = explain(&dialled.unwrap_err());
        assert!(why.contains("does not know this node's key"), "{why}");
    }

    #[tokio::test]
    async fn another_voter_than_the_one_dialled_is_refused() {
        let (accepted, dialled) = dial(tls(9, 2), tls(9, 3), key(1).public()).await;
        assert!(explain(&dialled.unwrap_err()).contains("check `peers`"));
        accepted.unwrap_err();
    }

    #[tokio::test]
    async fn another_cluster_is_refused_with_a_clear_message_on_both_sides() {
        let (accepted, dialled) = dial(tls(9, 1), tls(8, 3), key(1).public()).await;
        let (accepted, dialled) = (explain(&accepted.unwrap_err()), explain(&dialled.unwrap_err()));
        assert!(accepted.contains("another cluster"), "{accepted}");
        assert!(dialled.contains("another cluster"), "{dialled}");
    }

    #[test]
    fn keys_are_read_in_one_form_only() {
        let public = key(1).public();
        assert_eq!(key_of_spki(&spki(&public)), Some(public));
        assert_eq!(key_of_spki(&spki(&public)[..43]), None);
        assert_eq!(key_of_spki(&[spki(&public), vec![0]].concat()), None);
    }
}
