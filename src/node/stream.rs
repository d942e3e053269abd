//! The binary stream of fast clients: greet, submit, follow, be replied to. See `docs/http.md` and [`wire::stream`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use wire::limits::FRAME_BYTES_MAX;
use wire::stream::{ClientFrame, Hello, NodeFrame, Welcome};
use wire::{ClusterId, NodeId};

use crate::node::desk::{Client, Desk, Origin};
use crate::node::frames::{Frame, FrameError, FrameReader};
use crate::node::limits::{
    CLIENT_UNACKNOWLEDGED, CLIENTS_BYTES_MAX, HANDSHAKE_TIMEOUT, HELLO_BYTES_MAX, STALL_TIMEOUT, STOP_TIMEOUT,
    STREAM_BYTES_MAX, STREAM_FRAMES_MAX, STREAMS_BYTES_MAX, STREAMS_MAX,
};
use crate::node::metrics::Metrics;
use crate::node::options::ReadAccess;
use crate::node::outbox::{Outbox, Shared};
use crate::node::peers::prepare;
use crate::node::stop::Stop;
use crate::node::submit::Submitter;
use crate::node::thread::Stage;

/// Serves client streams.
pub struct Streams {
    /// Which cluster a client must mean.
    pub cluster: ClusterId,
    /// Who answers.
    pub me: NodeId,
    /// Who may open a stream. Replies tell results, so a stream needs what reading needs.
    pub access: ReadAccess,
    /// Where commands go.
    pub submitter: Submitter,
    /// Where replies come from.
    pub desk: Arc<Desk>,
    /// Who leads, for the greeting.
    pub stage: watch::Receiver<Stage>,
    /// What clients' frames draw on, shared with HTTP.
    pub budget: Arc<Semaphore>,
    /// What waits for all streams' clients together.
    pub waiting: Arc<Shared>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// When to end.
    pub stop: Stop,
}

/// Numbers the streams of this process.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The bound on what waits for all streams' clients.
pub fn streams_waiting() -> Arc<Shared> {
    Shared::new(STREAMS_BYTES_MAX, STREAMS_MAX)
}

/// The budget of all clients' requests.
pub fn clients_budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CLIENTS_BYTES_MAX))
}

impl Streams {
    /// Accepts streams until the node stops.
    pub async fn accept(self: Arc<Self>, listener: TcpListener, tls: Option<Arc<ServerConfig>>) {
        let acceptor = tls.map(TlsAcceptor::from);
        let room = Arc::new(Semaphore::new(STREAMS_MAX));
        while let Some(accepted) = self.stop.or(listener.accept()).await {
            let tcp = match accepted {
                Ok((tcp, _)) => tcp,
                Err(why) => {
                    tracing::warn!("cannot accept a client's stream: {why}");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let permit = room.clone().try_acquire_owned().ok();
            if permit.is_none() {
                self.metrics.dropped("streams_full", 1);
                continue;
            }
            let (streams, acceptor) = (self.clone(), acceptor.clone());
            tokio::spawn(async move {
                let _permit = permit;
                let _counted = streams.metrics.streams();
                if let Err(why) = streams.serve_tcp(tcp, acceptor).await {
                    tracing::debug!("client stream ended: {why}");
                }
            });
        }
        // Once nobody holds a permit, every client has been told goodbye.
        let _ = timeout(STOP_TIMEOUT, room.acquire_many(STREAMS_MAX as u32)).await;
    }

    async fn serve_tcp(&self, tcp: TcpStream, acceptor: Option<TlsAcceptor>) -> io::Result<()> {
        prepare(&tcp, CLIENT_UNACKNOWLEDGED)?;
        match acceptor {
            None => self.serve(tcp).await,
            Some(acceptor) => {
                let handshake = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp));
                self.serve(handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??).await
            }
        }
    }

    /// Serves one stream until either side ends it.
    pub async fn serve(&self, io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let (read, mut write) = tokio::io::split(io);
        let client = Arc::new(Client {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            outbox: Outbox::sharing(STREAM_FRAMES_MAX, STREAM_BYTES_MAX, self.waiting.clone()),
        });
        let reading = async {
            let why = self.read(FrameReader::new(read, HELLO_BYTES_MAX, self.budget.clone()), &client).await;
            match why {
                Some(why) => client.goodbye(&why),
                None => client.outbox.close(None),
            }
        };
        let writing = client.outbox.write_to(&mut write);
        // The writer ends last: it still has the goodbye to write. If it fails there is nobody to read for.
        let ended = {
            tokio::pin!(writing);
            tokio::select! {
                ended = &mut writing => ended,
                () = reading => timeout(STALL_TIMEOUT, writing).await.unwrap_or(Ok(())),
            }
        };
        client.outbox.close(None);
        self.desk.forget(&client);
        ended
    }

    /// Reads until the stream ends; gives the goodbye the client is owed, if any.
    async fn read(&self, mut frames: FrameReader<impl AsyncRead + Unpin>, client: &Arc<Client>) -> Option<String> {
        match timeout(HANDSHAKE_TIMEOUT, self.greet(&mut frames, client)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return why,
            Err(_) => return Some("no greeting in time; send Hello first".into()),
        }
        frames.allow(FRAME_BYTES_MAX);
        loop {
            let frame = tokio::select! {
                frame = frames.next() => frame,
                () = self.stop.wait() => return Some("this node is stopping; connect to another".into()),
            };
            let goodbye = match frame {
                Ok(frame) => self.on_frame(frame, client).err(),
                Err(FrameError::Closed) => return None,
                Err(why) => Some(why.to_string()),
            };
            if goodbye.is_some() {
                return goodbye;
            }
        }
    }

    async fn greet(
        &self,
        frames: &mut FrameReader<impl AsyncRead + Unpin>,
        client: &Client,
    ) -> Result<(), Option<String>> {
        let frame = match frames.next().await {
            Ok(frame) => frame,
            Err(FrameError::Closed) => return Err(None),
            Err(why) => return Err(Some(why.to_string())),
        };
        let Hello { cluster, token } = match ClientFrame::from_frame(&frame.content) {
            Ok(ClientFrame::Hello(hello)) => hello,
            Ok(_) => return Err(Some("the first frame must be Hello".into())),
            Err(why) => return Err(Some(format!("the first frame must be Hello: {why}"))),
        };
        if cluster != self.cluster {
            return Err(Some(format!(
                "this node belongs to cluster {}, not {cluster}; use the right genesis document or another node",
                self.cluster
            )));
        }
        if !self.access.admits(Some(&token)) {
            return Err(Some("a read token of this node is needed; put it into Hello".into()));
        }
        let leader = self.stage.borrow().status().and_then(|s| s.leader);
        let welcome = NodeFrame::Welcome(Welcome { node: self.me, leader });
        client.outbox.try_push(welcome.to_frame().into());
        Ok(())
    }

    /// Works on one frame; an error is the goodbye.
    fn on_frame(&self, frame: Frame, client: &Arc<Client>) -> Result<(), String> {
        let follow = |session| {
            let followed = self.desk.follow(session, client);
            followed.then_some(()).ok_or("a stream follows at most 1024 sessions; open another stream".to_owned())
        };
        match ClientFrame::from_frame(&frame.content) {
            Ok(ClientFrame::Submit(commands)) => {
                let mut last = None;
                for command in &commands.0 {
                    // Commands come in runs of one session.
                    let session = command.unverified().session;
                    if last != Some(session) {
                        follow(session)?;
                        last = Some(session);
                    }
                }
                let origin = Origin::Stream(client.clone());
                if let Err(ids) = self.submitter.submit(commands.0, origin, Some(frame.permit)) {
                    client.outbox.try_push(NodeFrame::Busy(ids).to_frame().into()).then_some(()).ok_or(
                        "you read too slowly: answers filled this stream's queue. Connect again and read on".to_owned(),
                    )?;
                }
                Ok(())
            }
            Ok(ClientFrame::Follow(session)) => follow(session),
            Ok(ClientFrame::Hello(_)) => Err("Hello comes once, at the start".into()),
            Err(why) => Err(format!("a frame that is not a message: {why}")),
        }
    }
}
