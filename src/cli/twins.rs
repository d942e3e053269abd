//! A lying node for demonstrations: two unmodified replicas that share one key behind one address.
//!
//! Neither replica does anything wrong by itself; together they are a node that says one thing to some and another to
//! others, which is what a Byzantine node is (Twins, Bano et al., OPODIS 2021). The address they share is a forwarder:
//! connections go to one twin and the other in turns.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Forwards connections to `address` to two others, in turns, until dropped.
pub struct Splitter {
    _tasks: JoinSet<()>,
}

impl Splitter {
    /// Starts listening on `address`.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(address: SocketAddr, twins: [SocketAddr; 2]) -> std::io::Result<Splitter> {
        let listener = TcpListener::bind(address).await?;
        let turn = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((mut incoming, _)) = listener.accept().await {
                let twin = twins[turn.fetch_add(1, Ordering::Relaxed) % 2];
                pipes.spawn(async move {
                    if let Ok(mut outgoing) = TcpStream::connect(twin).await {
                        let _ = incoming.set_nodelay(true).and(outgoing.set_nodelay(true));
                        // Either side hanging up ends the pipe; that is no error of ours.
                        let _ = copy_bidirectional(&mut incoming, &mut outgoing).await;
                    }
                });
                while pipes.try_join_next().is_some() {}
            }
        });
        Ok(Splitter { _tasks: tasks })
    }
}
