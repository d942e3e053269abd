//! The desk: who asked, and who is told. One thread turns the replica's outputs into replies, refusals and "busy" for
//! streams and HTTP requests, so that the replica never waits for a client and never signs a reply itself.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use replica::{ExecutedBlock, Output};
use tokio::sync::{Notify, oneshot};
use wire::statement::Reply;
use wire::stream::{NodeFrame, Refused};
use wire::{
    ClusterId, CommandId, Epoch, Height, NodeId, Outcome, OutcomeCode, Receipt, Signed, Signer, Time, Verified,
};

use crate::node::inbox::Admission;
use crate::node::limits::{SESSIONS_PER_STREAM_MAX, TOLD_TURNS_MAX, WAITED_COMMANDS_MAX};
use crate::node::metrics::Metrics;
use crate::node::outbox::{FrameBytes, Outbox};
use crate::node::recent::{Fate, Pending, Recent};
use crate::node::stop::Alarm;

/// The outcome of a command whose signature does not verify.
pub fn bad_signature() -> Outcome {
    Outcome {
        code: ledger::Code::BadSignature.number(),
        text: "a signature does not verify for this cluster; sign with the listed keys, and with this cluster's id"
            .into(),
    }
}

/// What a node says at once to a command handed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It waits to be ordered.
    Accepted,
    /// It was executed before; this is the first result.
    Done(Receipt),
    /// Too much is waiting; try again, here or at another node.
    Busy,
    /// It will never be ordered as it stands.
    Refused(Outcome),
}

/// Who handed over commands.
#[derive(Debug)]
pub enum Origin {
    /// A client stream.
    Stream(Arc<Client>),
    /// An HTTP request, which waits for one verdict per command.
    Http(oneshot::Sender<HashMap<CommandId, Verdict>>),
}

/// One client stream, as the desk sees it.
#[derive(Debug)]
pub struct Client {
    /// Distinguishes the streams of this process.
    pub id: u64,
    /// Frames on their way to the client.
    pub outbox: Outbox,
}

impl Client {
    /// Sends a frame. A client that does not keep up is told so and cut off; it is never skipped in silence.
    fn send(&self, frame: FrameBytes, metrics: &Metrics) {
        if !self.outbox.try_push(frame) && !self.outbox.is_closed() {
            metrics.dropped("slow_client", 1);
            self.goodbye("you read too slowly: replies filled this stream's queue. Connect again and read on");
        }
    }

    /// Ends the stream with a reason.
    pub fn goodbye(&self, why: &str) {
        self.outbox.close(Some(NodeFrame::Goodbye(why.to_owned()).to_frame().into()));
    }
}

/// A submission the replica has taken in.
#[derive(Debug)]
pub struct Admitted {
    /// Its commands.
    pub ids: Vec<CommandId>,
    /// Those of a bad signature.
    pub forged: Vec<CommandId>,
    /// Who waits.
    pub origin: Origin,
}

/// One turn of the replica, for the desk.
#[derive(Debug, Default)]
pub struct Told {
    /// What it put out, except messages to peers.
    pub outputs: Vec<Output>,
    /// The submissions it had been given.
    pub admitted: Vec<Admitted>,
}

/// A long poll: told once all its commands are done.
#[derive(Debug, Default)]
pub struct Waiter {
    missing: AtomicUsize,
    done: Notify,
}

impl Waiter {
    /// Returns once nothing is missing.
    pub async fn done(&self) {
        while self.missing.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
    }

    fn found(&self) {
        self.missing.fetch_sub(1, Ordering::AcqRel);
        self.done.notify_one();
    }
}

#[derive(Debug, Default)]
struct Books {
    recent: Recent,
    pending: Pending,
    /// Streams that want late news of a command they submitted. Entries leave with the command or with the stream.
    submitters: HashMap<CommandId, Arc<Client>>,
    followers: HashMap<u64, Vec<Arc<Client>>>,
    sessions: HashMap<u64, Vec<u64>>,
    waiters: HashMap<CommandId, Vec<Arc<Waiter>>>,
    waited: usize,
}

/// The desk.
pub struct Desk {
    cluster: ClusterId,
    epoch: Epoch,
    me: NodeId,
    signer: Arc<dyn Signer>,
    metrics: Arc<Metrics>,
    books: Mutex<Books>,
    executed: AtomicU64,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Desk(of node {})", self.me)
    }
}

impl Desk {
    /// An empty desk that signs as `me`.
    pub fn new(cluster: ClusterId, epoch: Epoch, me: NodeId, signer: Arc<dyn Signer>, metrics: Arc<Metrics>) -> Desk {
        Desk { cluster, epoch, me, signer, metrics, books: Mutex::default(), executed: AtomicU64::new(0) }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no holder of this lock panics")
    }

    /// Starts the desk's thread; it ends when all senders are gone.
    pub fn spawn(self: &Arc<Self>, alarm: Alarm) -> io::Result<(SyncSender<Told>, JoinHandle<()>)> {
        let (sender, receiver): (_, Receiver<Told>) = sync_channel(TOLD_TURNS_MAX);
        let desk = self.clone();
        let thread = std::thread::Builder::new().name("juno-desk".into()).spawn(move || {
            let _alarm = alarm;
            for told in receiver {
                desk.tell(told);
            }
        })?;
        Ok((sender, thread))
    }

    /// Lets a stream have all replies to a session's commands. `false` if it follows too many.
    pub fn follow(&self, session: u64, client: &Arc<Client>) -> bool {
        let mut books = self.books();
        let sessions = books.sessions.entry(client.id).or_default();
        if sessions.contains(&session) {
            return true;
        }
        if sessions.len() >= SESSIONS_PER_STREAM_MAX {
            return false;
        }
        sessions.push(session);
        books.followers.entry(session).or_default().push(client.clone());
        true
    }

    /// A stream is gone.
    pub fn forget(&self, client: &Client) {
        let mut books = self.books();
        // A stream that never followed never submitted, and costs no sweep.
        let Some(sessions) = books.sessions.remove(&client.id) else { return };
        for session in sessions {
            if let Some(followers) = books.followers.get_mut(&session) {
                followers.retain(|f| f.id != client.id);
                if followers.is_empty() {
                    books.followers.remove(&session);
                }
            }
        }
        books.submitters.retain(|_, submitter| submitter.id != client.id);
    }

    /// What this desk knows of a command: its fate, or whether it is under way.
    pub fn find(&self, id: &CommandId) -> (Option<Arc<Fate>>, bool) {
        let books = self.books();
        (books.recent.get(id).cloned(), books.pending.contains(id))
    }

    /// Registers a long poll for those of `ids` that are not done. `None` if too many are waited for already.
    pub fn wait_for(self: &Arc<Self>, ids: &[CommandId]) -> Option<Waiting> {
        let mut books = self.books();
        let missing: Vec<CommandId> = ids.iter().filter(|id| books.recent.get(id).is_none()).copied().collect();
        if books.waited + missing.len() > WAITED_COMMANDS_MAX {
            return None;
        }
        books.waited += missing.len();
        let waiter = Arc::new(Waiter { missing: AtomicUsize::new(missing.len()), done: Notify::new() });
        for id in &missing {
            books.waiters.entry(*id).or_default().push(waiter.clone());
        }
        Some(Waiting { desk: self.clone(), ids: missing, waiter })
    }

    /// A submission that found no room: every command of it is answered.
    pub fn turn_away(&self, admission: Admission) {
        let ids: Vec<CommandId> = admission.commands.iter().map(|c| c.id()).collect();
        self.metrics.turned_away("busy", ids.len());
        let verdicts = ids.iter().map(|id| (*id, Verdict::Busy)).collect();
        self.answer(Admitted { ids, forged: admission.forged, origin: admission.origin }, &verdicts);
    }

    /// A statement of this node on these receipts.
    pub fn sign(&self, receipts: Vec<Receipt>) -> Option<Signed<Reply>> {
        let height = Height(self.executed.load(Ordering::Relaxed));
        let reply = Reply { author: self.me, epoch: self.epoch, height, receipts };
        match Verified::sign(&self.cluster, reply, &*self.signer) {
            Ok(reply) => Some(reply.into_signed()),
            Err(why) => {
                tracing::error!("cannot sign a reply: {why}");
                None
            }
        }
    }

    fn reply_frame(&self, receipts: Vec<Receipt>) -> Option<FrameBytes> {
        self.sign(receipts).map(|reply| NodeFrame::Replies(Box::new(reply)).to_frame().into())
    }

    /// Tells everyone concerned of one turn.
    fn tell(&self, told: Told) {
        let Told { outputs, admitted } = told;
        {
            // Registered before the outputs are worked through: a lone voter executes in the turn that admits.
            let mut books = self.books();
            for admitted in &admitted {
                for id in &admitted.ids {
                    books.pending.insert(*id);
                    if let Origin::Stream(client) = &admitted.origin
                        && !client.outbox.is_closed()
                        && books.submitters.len() < crate::node::limits::PENDING_COMMANDS_MAX
                    {
                        books.submitters.insert(*id, client.clone());
                    }
                }
            }
        }
        let mut verdicts = HashMap::new();
        for output in outputs {
            match output {
                Output::Executed(block) => self.executed(block),
                Output::Answer(receipt) => self.settle(receipt.command, Verdict::Done(receipt), &mut verdicts),
                Output::Busy(command) => {
                    self.metrics.turned_away("busy", 1);
                    self.settle(command, Verdict::Busy, &mut verdicts);
                }
                Output::Refused { command, outcome } => {
                    self.metrics.turned_away("refused", 1);
                    self.settle(command, Verdict::Refused(outcome), &mut verdicts);
                }
                Output::Evidence(evidence) => {
                    let (accused, offence) = (evidence.accused(), evidence.offence());
                    tracing::error!(node = %accused, offence, "ALERT: proof that a node broke the protocol");
                    self.metrics.evidence(accused, offence);
                }
                Output::Alert(text) => tracing::error!("ALERT: {text}"),
                Output::Halted(reason) => {
                    tracing::error!("ALERT: this node stops voting and executing: {reason}");
                    self.metrics.halt(&reason.to_string());
                }
                // The replica thread sends these itself.
                Output::Send { .. } => {}
            }
        }
        let mut told = std::mem::take(&mut verdicts);
        for admitted in admitted {
            self.answer(admitted, &told);
        }
        self.answer_late(&mut told);
    }

    /// Books how the replica judged a command.
    fn settle(&self, id: CommandId, verdict: Verdict, verdicts: &mut HashMap<CommandId, Verdict>) {
        let mut books = self.books();
        books.pending.remove(&id);
        match &verdict {
            Verdict::Refused(outcome) => books.done(id, Some(Fate::Refused(outcome.clone()))),
            Verdict::Done(_) => books.done(id, None),
            Verdict::Busy | Verdict::Accepted => {}
        }
        drop(books);
        verdicts.insert(id, verdict);
    }

    /// Gives the sender of a submission its verdicts.
    fn answer(&self, admitted: Admitted, verdicts: &HashMap<CommandId, Verdict>) {
        let Admitted { ids, forged, origin } = admitted;
        self.metrics.turned_away("bad_signature", forged.len());
        match origin {
            Origin::Http(sender) => {
                let verdict = |id: &CommandId| verdicts.get(id).cloned().unwrap_or(Verdict::Accepted);
                let mut all: HashMap<CommandId, Verdict> = ids.iter().map(|id| (*id, verdict(id))).collect();
                all.extend(forged.into_iter().map(|id| (id, Verdict::Refused(bad_signature()))));
                // A request that was given up needs no answer.
                let _ = sender.send(all);
            }
            Origin::Stream(client) => {
                let mine = ids.iter().filter_map(|id| Some((*id, verdicts.get(id)?)));
                self.tell_stream(&client, mine);
                for id in forged {
                    self.send_refusal(&client, id, bad_signature());
                }
                let mut books = self.books();
                for id in ids.iter().filter(|id| verdicts.contains_key(id)) {
                    books.submitters.remove(id);
                }
            }
        }
    }

    /// Gives streams the verdicts on commands they submitted in an earlier turn.
    fn answer_late(&self, verdicts: &mut HashMap<CommandId, Verdict>) {
        if verdicts.is_empty() {
            return;
        }
        let mut late: HashMap<u64, (Arc<Client>, Vec<CommandId>)> = HashMap::new();
        let mut books = self.books();
        for id in verdicts.keys() {
            if let Some(client) = books.submitters.remove(id) {
                late.entry(client.id).or_insert_with(|| (client, Vec::new())).1.push(*id);
            }
        }
        drop(books);
        for (client, ids) in late.into_values() {
            self.tell_stream(&client, ids.iter().filter_map(|id| Some((*id, verdicts.get(id)?))));
        }
    }

    fn tell_stream<'a>(&self, client: &Client, verdicts: impl Iterator<Item = (CommandId, &'a Verdict)>) {
        let (mut busy, mut receipts) = (Vec::new(), Vec::new());
        for (id, verdict) in verdicts {
            match verdict {
                Verdict::Accepted => {}
                Verdict::Busy => busy.push(id),
                Verdict::Done(receipt) => receipts.push(receipt.clone()),
                Verdict::Refused(outcome) => self.send_refusal(client, id, outcome.clone()),
            }
        }
        if !busy.is_empty() {
            client.send(NodeFrame::Busy(busy).to_frame().into(), &self.metrics);
        }
        if !receipts.is_empty()
            && let Some(frame) = self.reply_frame(receipts)
        {
            client.send(frame, &self.metrics);
        }
    }

    fn send_refusal(&self, client: &Client, command: CommandId, outcome: Outcome) {
        client.send(NodeFrame::Refused(Refused { command, outcome }).to_frame().into(), &self.metrics);
    }

    /// Books an executed block and sends every follower its receipts, signed once per distinct set of receipts.
    fn executed(&self, block: ExecutedBlock) {
        self.executed.store(block.height.0, Ordering::Relaxed);
        self.metrics.block(wall_now().since_ms(block.time));
        let mut codes: BTreeMap<OutcomeCode, u64> = BTreeMap::new();
        let mut receipts = Vec::with_capacity(block.entries.len());
        let mut wanted: HashMap<u64, (Arc<Client>, Vec<u32>)> = HashMap::new();
        let mut books = self.books();
        for (n, (entry, session)) in block.entries.into_iter().zip(block.sessions).enumerate() {
            let id = entry.receipt.command;
            *codes.entry(entry.receipt.outcome.code).or_default() += 1;
            receipts.push(entry.receipt.clone());
            for client in books.followers.get(&session).into_iter().flatten() {
                wanted.entry(client.id).or_insert_with(|| (client.clone(), Vec::new())).1.push(n as u32);
            }
            books.pending.remove(&id);
            books.submitters.remove(&id);
            books.done(
                id,
                Some(Fate::Executed { receipt: Box::new(entry.receipt), diff: Box::new(entry.diff), time: block.time }),
            );
        }
        drop(books);
        for (code, count) in codes {
            self.metrics.executed(code, count);
        }
        let mut frames: HashMap<Vec<u32>, FrameBytes> = HashMap::new();
        for (client, positions) in wanted.into_values() {
            if !frames.contains_key(&positions) {
                let chosen = positions.iter().map(|n| receipts[*n as usize].clone()).collect();
                let Some(frame) = self.reply_frame(chosen) else { return };
                frames.insert(positions.clone(), frame);
            }
            client.send(frames[&positions].clone(), &self.metrics);
        }
    }
}

impl Books {
    /// A command is done: keeps its fate and wakes the polls that wait for it.
    fn done(&mut self, id: CommandId, fate: Option<Fate>) {
        if let Some(fate) = fate {
            self.recent.insert(id, fate);
        }
        if let Some(waiters) = self.waiters.remove(&id) {
            self.waited -= waiters.len();
            waiters.iter().for_each(|w| w.found());
        }
    }

    /// Takes a poll off the list of a command; `false` if it was not on it.
    fn unregister(&mut self, id: &CommandId, waiter: &Arc<Waiter>) -> bool {
        let Some(waiters) = self.waiters.get_mut(id) else { return false };
        let Some(at) = waiters.iter().position(|w| Arc::ptr_eq(w, waiter)) else { return false };
        waiters.swap_remove(at);
        if waiters.is_empty() {
            self.waiters.remove(id);
        }
        self.waited -= 1;
        true
    }
}

/// A registered long poll; unregistered when dropped.
#[derive(Debug)]
pub struct Waiting {
    desk: Arc<Desk>,
    ids: Vec<CommandId>,
    waiter: Arc<Waiter>,
}

impl Waiting {
    /// The commands that were not done when the poll was registered.
    pub fn missing(&self) -> &[CommandId] {
        &self.ids
    }

    /// Returns once all are done.
    pub async fn done(&self) {
        self.waiter.done().await;
    }

    /// A command turned out to be done already, longer ago than the desk remembers.
    pub fn found(&self, id: &CommandId) {
        if self.desk.books().unregister(id, &self.waiter) {
            self.waiter.found();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut books = self.desk.books();
        for id in &self.ids {
            books.unregister(id, &self.waiter);
        }
    }
}

/// The wall clock.
pub fn wall_now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
