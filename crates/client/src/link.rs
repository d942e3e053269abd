//! One node's connection: dial, greet, then read and write until something ends it; then again, a little later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::NodeId;
use wire::limits::FRAME_BYTES_MAX;
use wire::stream::{ClientFrame, Hello, NodeFrame};

use crate::alert::AlertKind;
use crate::desk::Desk;
use crate::stream::Shared;
use crate::tls::Trust;

/// For a connection to be made, and for the node to greet us.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// For one write to make progress, before the node counts as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two attempts to connect: the first, and the most.
const REDIAL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Bytes gathered for one write.
const WRITE_BYTES: usize = 256 * 1024;

/// Whom to dial, and what to show.
pub(crate) struct Dial {
    /// `host:port`, or `tls://host:port`.
    pub(crate) address: String,
    /// The read token, or empty.
    pub(crate) token: String,
    /// The certificates trusted, for `tls://`.
    pub(crate) trust: Option<Trust>,
}

/// Keeps one link up until the client is dropped.
pub(crate) async fn run(shared: Arc<Shared>, link: usize, dial: Dial) {
    let mut delay = REDIAL.0;
    loop {
        let started = Instant::now();
        let reason = match connect(&shared, link, &dial).await {
            Ok(never) => match never {},
            Err(reason) => reason,
        };
        shared.update(|desk| desk.on_down(link, reason, Instant::now()));
        if started.elapsed() > REDIAL.1 {
            delay = REDIAL.0;
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(REDIAL.1);
    }
}

/// A conversation ends only with a reason.
enum Never {}

async fn connect(shared: &Shared, link: usize, dial: &Dial) -> Result<Never, String> {
    let secure = dial.address.strip_prefix("tls://");
    let address = secure.unwrap_or(&dial.address);
    let late = || format!("{address} does not answer");
    let socket = timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await.map_err(|_| late())?;
    let socket = socket.map_err(|e| format!("{address}: {e}"))?;
    socket.set_nodelay(true).map_err(|e| e.to_string())?;
    if secure.is_none() {
        return converse(shared, link, dial, socket).await;
    }
    let trust = dial.trust.as_ref().ok_or("set tls_ca in client.toml to the certificate this node's is signed with")?;
    let socket = timeout(DIAL_TIMEOUT, trust.connect(address, socket)).await.map_err(|_| late())??;
    converse(shared, link, dial, socket).await
}

async fn converse<S>(shared: &Shared, link: usize, dial: &Dial, socket: S) -> Result<Never, String>
where
    S: AsyncRead + AsyncWrite,
{
    let address = &dial.address;
    let (read, mut write) = tokio::io::split(socket);
    let mut reader = FrameReader { read: BufReader::with_capacity(64 * 1024, read), content: Vec::new() };
    let (cluster, node, wake) = shared.look(|desk| {
        let at = &desk.links[link];
        (desk.cluster, at.node, at.wake.clone())
    });
    let hello = ClientFrame::Hello(Hello { cluster, token: dial.token.clone() });
    write.write_all(&hello.to_frame()).await.map_err(|e| e.to_string())?;
    write.flush().await.map_err(|e| e.to_string())?;
    let first = timeout(DIAL_TIMEOUT, reader.next()).await.map_err(|_| format!("{address} does not greet"))??;
    let welcome = match NodeFrame::from_frame(first) {
        Ok(NodeFrame::Welcome(welcome)) => welcome,
        Ok(NodeFrame::Goodbye(text)) => return Err(text),
        Ok(_) => return Err(malformed(shared, node, "answered a greeting with something else".into())),
        Err(e) => return Err(malformed(shared, node, format!("answered a greeting with garbage: {e}"))),
    };
    if welcome.node != node {
        let text = format!("its address {address} is answered by node {}; correct the addresses", welcome.node);
        shared.update(|desk| desk.alerts.raise(node, AlertKind::WrongNode, || text.clone()));
        return Err(text);
    }
    shared.update(|desk| desk.on_welcome(link, welcome.leader, Instant::now()));
    tokio::select! {
        ended = read_frames(shared, link, node, &mut reader) => ended,
        ended = write_frames(shared, link, &wake, write) => ended,
    }
}

fn malformed(shared: &Shared, node: NodeId, text: String) -> String {
    shared.update(|desk| desk.alerts.raise(node, AlertKind::Malformed, || text.clone()));
    text
}

/// Reads length-prefixed frames into one reused buffer.
struct FrameReader<S> {
    read: BufReader<ReadHalf<S>>,
    content: Vec<u8>,
}

impl<S: AsyncRead> FrameReader<S> {
    /// The content of the next frame.
    async fn next(&mut self) -> Result<&[u8], String> {
        let closed = |e: std::io::Error| format!("connection closed: {e}");
        let len = self.read.read_u32().await.map_err(closed)? as usize;
        if len > FRAME_BYTES_MAX {
            return Err(format!("a frame of {len} bytes is over the limit of {FRAME_BYTES_MAX}"));
        }
        // Grown as bytes arrive, so that a claimed length alone reserves nothing.
        self.content.clear();
        let taken = (&mut self.read).take(len as u64).read_to_end(&mut self.content).await.map_err(closed)?;
        if taken < len {
            return Err("connection closed within a frame".into());
        }
        Ok(&self.content)
    }
}

async fn read_frames<S: AsyncRead>(
    shared: &Shared,
    link: usize,
    node: NodeId,
    reader: &mut FrameReader<S>,
) -> Result<Never, String> {
    loop {
        let content = reader.next().await?;
        let frame = match NodeFrame::from_frame(content) {
            Ok(frame) => frame,
            Err(e) => return Err(malformed(shared, node, format!("sent garbage: {e}"))),
        };
        match frame {
            NodeFrame::Replies(reply) => {
                let claimed = reply.unverified();
                if claimed.author != node {
                    let text = format!("sent a reply in the name of node {}", claimed.author);
                    shared.update(|desk| desk.alerts.raise(node, AlertKind::Impersonation, || text.clone()));
                    return Err(text);
                }
                // Checking a signature costs far more than looking: what tells nothing new is not checked.
                if !shared.look(|desk| desk.has_news(link, &claimed.receipts)) {
                    continue;
                }
                let (cluster, membership) = shared.look(|desk| (desk.cluster, desk.membership.clone()));
                match reply.verify(&cluster, &membership) {
                    Ok(reply) => shared.update(|desk| desk.on_reply(link, &reply, Instant::now())),
                    Err(why) => {
                        let text = format!("sent a reply that does not verify: {why}");
                        shared.update(|desk| desk.alerts.raise(node, AlertKind::Forged, || text.clone()));
                        return Err(text);
                    }
                }
            }
            NodeFrame::Busy(ids) => shared.update(|desk| desk.on_busy(link, &ids, Instant::now())),
            NodeFrame::Refused(refused) => {
                shared.update(|desk| desk.on_refused(link, &refused.command, refused.outcome, Instant::now()));
            }
            NodeFrame::Welcome(welcome) => {
                shared.update(|desk: &mut Desk| desk.on_welcome(link, welcome.leader, Instant::now()));
            }
            NodeFrame::Goodbye(text) => return Err(text),
        }
    }
}

async fn write_frames<S: AsyncWrite>(
    shared: &Shared,
    link: usize,
    wake: &tokio::sync::Notify,
    mut write: WriteHalf<S>,
) -> Result<Never, String> {
    let mut out = Vec::new();
    loop {
        out.clear();
        shared.look_mut(|desk| desk.take_outgoing(link, WRITE_BYTES, &mut out));
        if out.is_empty() {
            wake.notified().await;
            continue;
        }
        // A full window may take longer than one timeout on a slow line; each piece must get through in it.
        for piece in out.chunks(WRITE_BYTES) {
            let written = timeout(WRITE_TIMEOUT, write.write_all(piece)).await;
            written.map_err(|_| "takes no more data".to_owned())?.map_err(|e| format!("connection closed: {e}"))?;
        }
        // TLS holds bytes back until told.
        timeout(WRITE_TIMEOUT, write.flush())
            .await
            .map_err(|_| "takes no more data".to_owned())?
            .map_err(|e| format!("connection closed: {e}"))?;
    }
}
