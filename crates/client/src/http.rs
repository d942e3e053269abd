//! Queries and status over the HTTP API, from one node or from enough of them to be believed.
//!
//! One connection per request: these are for people, scripts and dashboards. What must be fast uses the stream.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use wire::limits::FRAME_BYTES_MAX;
use wire::{Membership, NodeId};

use crate::tls::Trust;

/// Where a node's HTTP API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpNode {
    /// The node.
    pub id: NodeId,
    /// `http://host:port` or `https://host:port`; `host:port` alone means `http`.
    pub url: String,
}

/// A request failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpError {
    /// The node is not among those configured.
    #[error("node {0} is not among the nodes of client.toml")]
    UnknownNode(NodeId),
    /// The address is not one.
    #[error("address \"{0}\" of node {1} is none; write http://host:port or https://host:port")]
    Address(String, NodeId),
    /// The node could not be reached, or did not answer in time.
    #[error("node {0} ({1}): {2}")]
    Unreachable(NodeId, String, String),
    /// The node answered with an error; the text is the node's own.
    #[error("node {node} answers {status}: {text}")]
    Status {
        /// The node.
        node: NodeId,
        /// The HTTP status.
        status: u16,
        /// What the node says about it.
        text: String,
    },
    /// No node answered.
    #[error("no node answers: {}", .0.join("; "))]
    Nobody(Vec<String>),
    /// Nodes answered, but not enough of them the same.
    #[error("no answer is shared by nodes of weight above {faulty}: {}", .answers.join("; "))]
    Disagreement {
        /// `F`.
        faulty: u64,
        /// What each said.
        answers: Vec<String>,
    },
}

impl HttpError {
    /// True if another node may do better: unreachable, busy, or not serving.
    pub fn is_worth_another_node(&self) -> bool {
        match self {
            HttpError::Unreachable(..) => true,
            HttpError::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

/// A client of the HTTP API of several nodes.
#[derive(Clone)]
pub struct HttpClient {
    nodes: Vec<HttpNode>,
    token: Option<String>,
    trust: Option<Trust>,
    timeout: Duration,
}

impl HttpClient {
    /// A client that asks these nodes, in this order.
    pub fn new(nodes: Vec<HttpNode>) -> HttpClient {
        HttpClient { nodes, token: None, trust: None, timeout: Duration::from_secs(5) }
    }

    /// Shows this read token.
    pub fn token(mut self, token: Option<String>) -> HttpClient {
        self.token = token;
        self
    }

    /// How long one request may take.
    pub fn timeout(mut self, timeout: Duration) -> HttpClient {
        self.timeout = timeout;
        self
    }

    /// Trusts these certificates, and no others, for `https` addresses.
    pub fn trust(mut self, trust: Option<Trust>) -> HttpClient {
        self.trust = trust;
        self
    }

    /// The nodes, in the order they are asked.
    pub fn nodes(&self) -> &[HttpNode] {
        &self.nodes
    }

    /// Asks this node first from now on.
    pub fn prefer(&mut self, node: NodeId) {
        self.nodes.sort_by_key(|n| n.id != node);
    }

    /// `GET path` of one node.
    ///
    /// # Errors
    /// If it cannot be reached, or its answer is no success.
    pub async fn get(&self, node: NodeId, path: &str) -> Result<Value, HttpError> {
        self.request(node, Method::GET, path, Bytes::new()).await
    }

    /// `POST path` of one node, with a JSON body.
    ///
    /// # Errors
    /// As [`HttpClient::get`].
    pub async fn post(&self, node: NodeId, path: &str, body: &Value) -> Result<Value, HttpError> {
        self.request(node, Method::POST, path, body.to_string().into()).await
    }

    /// `GET path` of the first node that answers: the word of one node, believed if you trust it.
    ///
    /// # Errors
    /// The error of a node that answered, such as "not found"; or that none answered.
    pub async fn get_any(&self, path: &str) -> Result<(NodeId, Value), HttpError> {
        let mut failures = Vec::new();
        for node in &self.nodes {
            match self.get(node.id, path).await {
                Ok(value) => return Ok((node.id, value)),
                Err(e) if e.is_worth_another_node() => failures.push(e.to_string()),
                Err(e) => return Err(e),
            }
        }
        Err(HttpError::Nobody(failures))
    }

    /// `GET path` of all nodes at once; each with its answer.
    pub async fn get_each(&self, path: &str) -> Vec<(NodeId, Result<Value, HttpError>)> {
        let mut tasks = tokio::task::JoinSet::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let (client, id, path) = (self.clone(), node.id, path.to_owned());
            tasks.spawn(async move { (n, id, client.get(id, &path).await) });
        }
        let mut answers = tasks.join_all().await;
        answers.sort_by_key(|(n, ..)| *n);
        answers.into_iter().map(|(_, id, answer)| (id, answer)).collect()
    }

    /// `GET path` of all nodes; the answer that nodes of weight above `F` share, and who they are. `what` picks from an
    /// answer the part that must be the same (a height, say, may differ).
    ///
    /// "Not found" is an answer like any other here, and comes back as `None`.
    ///
    /// # Errors
    /// If no answer is shared by enough.
    pub async fn get_agreed(
        &self,
        path: &str,
        membership: &Membership,
        what: impl Fn(Value) -> Value,
    ) -> Result<(Option<Value>, Vec<NodeId>), HttpError> {
        let mut groups: Vec<(Option<Value>, Vec<NodeId>, u64)> = Vec::new();
        let mut answers = Vec::new();
        for (id, answer) in self.get_each(path).await {
            let weight = membership.voter(id).map_or(0, |v| v.weight);
            let answer = match answer {
                Ok(value) => Some(what(value)),
                Err(HttpError::Status { status: 404, .. }) => None,
                Err(e) => {
                    answers.push(e.to_string());
                    continue;
                }
            };
            let text = answer.as_ref().map_or("not found".to_owned(), Value::to_string);
            answers.push(format!("node {id}: {text}"));
            match groups.iter_mut().find(|(said, ..)| *said == answer) {
                Some((_, nodes, total)) => {
                    nodes.push(id);
                    *total += weight;
                }
                None => groups.push((answer, vec![id], weight)),
            }
        }
        let faulty = membership.faulty_weight;
        let agreed = groups.into_iter().filter(|(.., weight)| *weight > faulty).max_by_key(|(.., weight)| *weight);
        agreed.map(|(answer, nodes, _)| (answer, nodes)).ok_or(HttpError::Disagreement { faulty, answers })
    }

    async fn request(&self, node: NodeId, method: Method, path: &str, body: Bytes) -> Result<Value, HttpError> {
        let at = self.nodes.iter().find(|n| n.id == node).ok_or(HttpError::UnknownNode(node))?;
        let unreachable = |why: String| HttpError::Unreachable(node, at.url.clone(), why);
        match tokio::time::timeout(self.timeout, self.converse(at, method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable(format!("no answer within {:?}", self.timeout))),
        }
    }

    async fn converse(&self, at: &HttpNode, method: Method, path: &str, body: Bytes) -> Result<Value, HttpError> {
        let unreachable = |why: String| HttpError::Unreachable(at.id, at.url.clone(), why);
        let (secure, authority) = split_url(&at.url).ok_or_else(|| HttpError::Address(at.url.clone(), at.id))?;
        let socket = TcpStream::connect(authority).await.map_err(|e| unreachable(e.to_string()))?;
        socket.set_nodelay(true).map_err(|e| unreachable(e.to_string()))?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, authority)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|e| unreachable(e.to_string()))?;
        if !secure {
            return exchange(socket, request, at).await;
        }
        let Some(trust) = &self.trust else {
            return Err(unreachable("set tls_ca in client.toml to the certificate this node's is signed with".into()));
        };
        let socket = trust.connect(authority, socket).await.map_err(unreachable)?;
        exchange(socket, request, at).await
    }
}

/// Whether the address wants TLS, and its `host:port`.
fn split_url(url: &str) -> Option<(bool, &str)> {
    let (secure, rest) = match url.split_once("://") {
        None => (false, url),
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some(_) => return None,
    };
    let authority = rest.trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':')?;
    (!host.is_empty() && !authority.contains('/') && port.parse::<u16>().is_ok()).then_some((secure, authority))
}

async fn exchange<S>(socket: S, request: Request<Full<Bytes>>, at: &HttpNode) -> Result<Value, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let unreachable = |why: String| HttpError::Unreachable(at.id, at.url.clone(), why);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(|e| unreachable(e.to_string()))?;
    let send = async {
        let response = sender.send_request(request).await.map_err(|e| unreachable(e.to_string()))?;
        let status = response.status();
        // An answer is bounded like a frame: a node that lies shall not fill this machine's memory.
        let body = Limited::new(response.into_body(), FRAME_BYTES_MAX).collect().await;
        let body = body.map_err(|e| unreachable(format!("answer: {e}")))?.to_bytes();
        read_answer(at, status, &body)
    };
    tokio::pin!(send);
    tokio::select! {
        biased;
        answer = &mut send => answer,
        // What arrived before the end can still be read; if nothing did, sending fails with the reason.
        _ = connection => send.await,
    }
}

fn read_answer(at: &HttpNode, status: StatusCode, body: &[u8]) -> Result<Value, HttpError> {
    let value: Result<Value, _> = serde_json::from_slice(body);
    if status.is_success() {
        let why = |e| HttpError::Unreachable(at.id, at.url.clone(), format!("its answer is no JSON: {e}"));
        return value.map_err(why);
    }
    let text = value.ok().and_then(|v| error_text(&v)).unwrap_or_else(|| String::from_utf8_lossy(body).trim().into());
    Err(HttpError::Status { node: at.id, status: status.as_u16(), text })
}

/// The words of an error body: `{"error": "..."}`, or `{"error": {"text": "..."}}` and the like.
fn error_text(value: &Value) -> Option<String> {
    let error = value.get("error").unwrap_or(value);
    let text = ["text", "message", "error"].iter().find_map(|key| error.get(key)).unwrap_or(error);
    text.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use wire::{FaultModel, Name, SecretKey, Voter};

    /// A node that answers every request with these bytes.
    async fn node(id: u16, status: &'static str, body: &'static str) -> HttpNode {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        HttpNode { id: NodeId(id), url }
    }

    fn membership() -> Membership {
        let voter = |n: u16| Voter {
            id: NodeId(n),
            name: Name::new(&format!("n{n}")).unwrap(),
            key: SecretKey::from_seed([n as u8; 32]).public(),
            weight: 1,
        };
        Membership {
            epoch: wire::Epoch(1),
            fault_model: FaultModel::Byzantine,
            faulty_weight: 1,
            voters: (0..4).map(voter).collect(),
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(split_url("http://a:80/"), Some((false, "a:80")));
        assert_eq!(split_url("https://[::1]:443"), Some((true, "[::1]:443")));
        assert_eq!(split_url("a:80"), Some((false, "a:80")));
        for bad in ["ftp://a:1", "a", "http://:80", "http://a:80/x", "a:99999"] {
            assert_eq!(split_url(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn the_next_node_answers_for_one_that_does_not() {
        let dead = HttpNode { id: NodeId(0), url: "http://127.0.0.1:1".into() };
        let busy = node(1, "429 Too Many Requests", r#"{"error":"busy"}"#).await;
        let good = node(2, "200 OK", r#"{"balance":"5%1"}"#).await;
        let client = HttpClient::new(vec![dead.clone(), busy, good]);
        let (from, value) = client.get_any("/v1/accounts/A").await.unwrap();
        assert_eq!((from, value["balance"].as_str()), (NodeId(2), Some("5%1")));
        let error = HttpClient::new(vec![dead]).get_any("/").await.unwrap_err();
        assert!(error.to_string().starts_with("no node answers: node 0 (http://127.0.0.1:1): "), "{error}");
    }

    #[tokio::test]
    async fn errors_carry_the_nodes_own_words() {
        let nodes = vec![node(0, "404 Not Found", r#"{"error":"account \"A\" does not exist"}"#).await];
        let error = HttpClient::new(nodes).get_any("/v1/accounts/A").await.unwrap_err();
        assert_eq!(error.to_string(), "node 0 answers 404: account \"A\" does not exist");
    }

    #[tokio::test]
    async fn agreement_needs_weight_above_f() {
        let say = |id, height: &'static str, balance: &'static str| {
            let body = format!(r#"{{"height":{height},"balance":"{balance}"}}"#);
            node(id, "200 OK", body.leak())
        };
        let balance = |v: Value| v["balance"].clone();
        let nodes = vec![say(0, "7", "1%1").await, say(1, "5", "9%1").await, say(2, "6", "1%1").await];
        let client = HttpClient::new(nodes);
        let (answer, who) = client.get_agreed("/x", &membership(), balance).await.unwrap();
        assert_eq!(answer, Some("1%1".into()));
        assert_eq!(who, [NodeId(0), NodeId(2)], "the liar is outvoted, the height does not matter");

        let client = HttpClient::new(vec![say(0, "7", "1%1").await, say(1, "7", "9%1").await]);
        let error = client.get_agreed("/x", &membership(), balance).await.unwrap_err();
        assert!(error.to_string().contains("node 1: \"9%1\""), "{error}");
    }
}
