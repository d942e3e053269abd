//! The one signal that ends everything, and the alarm that a thread has ended by itself.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

/// Clones share the signal.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Stop(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Gives the signal.
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    /// True once given.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once given.
    pub async fn wait(&self) {
        // The sender lives in `self`, so this fails never.
        let _ = self.0.subscribe().wait_for(|set| *set).await;
    }

    /// What `future` gives, or `None` if the signal comes first.
    pub async fn or<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wait() => None,
            value = future => Some(value),
        }
    }
}

/// Tells the node that a thread of it panicked: a fault of this program, after which it must not go on half alive.
#[derive(Debug, Clone)]
pub struct Alarm {
    thread: &'static str,
    bell: mpsc::Sender<&'static str>,
}

impl Alarm {
    /// An alarm, and what it rings. For other threads: [`Alarm::of`].
    pub fn new() -> (Alarm, mpsc::Receiver<&'static str>) {
        let (bell, rung) = mpsc::channel(1);
        (Alarm { thread: "first", bell }, rung)
    }

    /// The alarm of a thread; to be moved into it.
    pub fn of(&self, thread: &'static str) -> Alarm {
        Alarm { thread, bell: self.bell.clone() }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // One ring is enough.
            let _ = self.bell.try_send(self.thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_rings() {
        let (alarm, mut rung) = Alarm::new();
        let (quiet, loud) = (alarm.of("quiet"), alarm.of("loud"));
        std::thread::spawn(move || drop(quiet)).join().unwrap();
        std::thread::spawn(move || {
            let _alarm = loud;
            std::panic::panic_any("expected by this test");
        })
        .join()
        .unwrap_err();
        assert_eq!(rung.recv().await, Some("loud"));
        assert!(rung.try_recv().is_err());
    }

    #[tokio::test]
    async fn the_signal_reaches_clones() {
        let stop = Stop::default();
        let clone = stop.clone();
        assert_eq!(clone.or(async { 1 }).await, Some(1));
        stop.set();
        assert_eq!(clone.or(std::future::pending::<()>()).await, None);
    }
}
