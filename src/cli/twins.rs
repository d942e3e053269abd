//! A lying node for demonstrations: two unmodified replicas that share one key behind one address.
//!
//! Neither replica does anything wrong by itself; together they are a node that says one thing to some and another to
//! others, which is what a Byzantine node is (Twins, Bano et al., OPODIS 2021). The address they share is a forwarder
//! that decides which connection reaches which twin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Which twin a new connection reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Always this one.
    To(usize),
    /// One and the other in turns.
    InTurns,
}

/// Forwards connections to `address` to two others until dropped.
pub struct Splitter {
    route: watch::Sender<Route>,
    _tasks: JoinSet<()>,
}

impl Splitter {
    /// Starts listening on `address`; connections go to the first twin.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(address: SocketAddr, twins: [SocketAddr; 2]) -> std::io::Result<Splitter> {
        let listener = TcpListener::bind(address).await?;
        let (route, routed) = watch::channel(Route::To(0));
        let turn = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((incoming, _)) = listener.accept().await {
                let mut routed = routed.clone();
                let n = match *routed.borrow_and_update() {
                    Route::To(n) => n,
                    Route::InTurns => turn.fetch_add(1, Ordering::Relaxed),
                };
                let twin = twins[n % 2];
                pipes.spawn(async move {
                    tokio::select! {
                        () = pipe(incoming, twin) => {}
                        _ = routed.changed() => {}
                    }
                });
                while pipes.try_join_next().is_some() {}
            }
        });
        Ok(Splitter { route, _tasks: tasks })
    }

    /// Hangs up on everyone, and lets them in again by this rule.
    pub fn route(&self, route: Route) {
        self.route.send_replace(route);
    }
}

async fn pipe(mut incoming: TcpStream, twin: SocketAddr) {
    if let Ok(mut outgoing) = TcpStream::connect(twin).await {
        let _ = incoming.set_nodelay(true).and(outgoing.set_nodelay(true));
        // Either side hanging up ends the pipe; that is no error of ours.
        let _ = copy_bidirectional(&mut incoming, &mut outgoing).await;
    }
}
