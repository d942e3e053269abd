//! Accepting HTTP connections: bounded in number, in time and in bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::node::limits::{
    CLIENT_UNACKNOWLEDGED, HANDSHAKE_TIMEOUT, HTTP_CONNECTIONS_MAX, HTTP_HEADER_TIMEOUT, STOP_TIMEOUT,
};
use crate::node::metrics::Metrics;
use crate::node::peers::prepare;
use crate::node::stop::Stop;

/// Bytes a connection buffers: more than this much of headers is refused, and bodies are read in pieces of this size.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Serves connections until the node stops; then lets those at work finish their answer.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    metrics: Arc<Metrics>,
    stop: Stop,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let room = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    while let Some(accepted) = stop.or(listener.accept()).await {
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(why) => {
                tracing::warn!("cannot accept an HTTP connection: {why}");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            metrics.dropped("http_connections_full", 1);
            continue;
        };
        let (router, acceptor, stop) = (router.clone(), acceptor.clone(), stop.clone());
        let counted = metrics.http_connections();
        tokio::spawn(async move {
            let _held = (permit, counted);
            let served = async {
                prepare(&tcp, CLIENT_UNACKNOWLEDGED)?;
                match acceptor {
                    None => connection(tcp, router, stop).await,
                    Some(acceptor) => {
                        let handshake = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp));
                        let tls = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                        connection(tls, router, stop).await
                    }
                }
            };
            if let Err(why) = served.await {
                tracing::debug!("HTTP connection ended: {why}");
            }
        });
    }
    // Once nobody holds a permit, every answer has been written.
    let _ = timeout(STOP_TIMEOUT, room.acquire_many(HTTP_CONNECTIONS_MAX as u32)).await;
}

async fn connection(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    stop: Stop,
) -> io::Result<()> {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.wait() => {
            serving.as_mut().graceful_shutdown();
            timeout(STOP_TIMEOUT, serving).await.unwrap_or(Ok(()))
        }
    };
    ended.map_err(io::Error::other)
}
