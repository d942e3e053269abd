//! Getting what is missing, and giving what others miss. Every block is tied to a certificate or a digest before it is
//! asked for, so nothing unasked is kept.

use wire::limits::{BLOCK_BYTES_MAX, FETCH_BLOCKS_MAX, WINDOW_HEIGHTS_MAX};
use wire::peer::{Blocks, Fetch, FetchBlock};
use wire::{BlockDigest, NodeId, PeerMessage};

use super::{Destination, Effects, Engine, HaltReason, Now, Want};
use crate::rules::Rules;
use crate::verify::VerifiedBlocks;

impl<R: Rules> Engine<R> {
    /// Notes that a block is needed.
    pub(super) fn want(&mut self, digest: BlockDigest) {
        if !self.tree.holds(&digest) {
            self.wanted.entry(digest).or_insert(Want { ask_at: 0, tries: 0 });
        }
    }

    /// Milliseconds to wait for an answer, and, at first, for what is probably on its way already.
    fn patience_ms(&self) -> u64 {
        (self.parameters.heartbeat_ms / 4).max(1)
    }

    /// Asks for committed blocks, and for blocks wanted by digest, each of one peer at a time, in turns.
    pub(super) fn ask_for_missing(&mut self, now: Now, fx: &mut Effects) {
        let behind = self.target.claim.height > self.tree.root.header.height;
        if !behind || self.halted {
            self.catch_up = None;
        } else {
            let patience = self.patience_ms();
            let want = self.catch_up.get_or_insert(Want { ask_at: now.mono_ms + patience, tries: 0 });
            if now.mono_ms >= want.ask_at {
                *want = Want { ask_at: now.mono_ms + 4 * patience, tries: want.tries + 1 };
                let tries = want.tries;
                self.fetch_committed(self.peer_in_turn(tries), fx);
            }
        }
        let above = self.tree.root.header.height;
        let patience = self.patience_ms();
        let mut asks = Vec::new();
        for (digest, want) in &mut self.wanted {
            if want.ask_at == 0 {
                want.ask_at = now.mono_ms + patience;
            } else if now.mono_ms >= want.ask_at {
                *want = Want { ask_at: now.mono_ms + 4 * patience, tries: want.tries + 1 };
                asks.push((*digest, want.tries));
            }
        }
        for (digest, tries) in asks {
            if let Some(peer) = self.peer_in_turn(tries) {
                fx.send(Destination::One(peer), PeerMessage::Fetch(Fetch::Block(FetchBlock { digest, above })));
            }
        }
        let wants = self.wanted.values().chain(self.catch_up.as_ref());
        self.timers.repair_at = wants.map(|w| w.ask_at).min().unwrap_or(u64::MAX);
    }

    /// The leader first, then everyone else in turns.
    fn peer_in_turn(&self, tries: usize) -> Option<NodeId> {
        let leader = self.leader(self.safety.entered);
        if tries == 1 && leader != self.me {
            return Some(leader);
        }
        let others: Vec<NodeId> = self.membership.voters.iter().map(|v| v.id).filter(|id| *id != self.me).collect();
        others.get((tries + usize::from(self.me.0)) % others.len().max(1)).copied()
    }

    fn fetch_committed(&mut self, peer: Option<NodeId>, fx: &mut Effects) {
        if let Some(peer) = peer {
            let from = self.tree.root.header.height.plus(1);
            fx.send(Destination::One(peer), PeerMessage::Fetch(Fetch::Committed(from)));
        }
    }

    pub(super) fn on_fetch(&mut self, from: NodeId, fetch: Fetch, fx: &mut Effects) {
        let Fetch::Block(wanted) = fetch else {
            fx.serve.push((from, fetch));
            return;
        };
        let mut blocks = Vec::new();
        let mut bytes = 0;
        let mut at = wanted.digest;
        // Newest first; what does not fit is asked for again from there.
        while let Some(node) = self.tree.node(&at) {
            let block = node.block.to_block();
            bytes += block.entry_bytes();
            if block.header.height <= wanted.above || blocks.len() >= FETCH_BLOCKS_MAX {
                break;
            }
            if bytes > BLOCK_BYTES_MAX && !blocks.is_empty() {
                break;
            }
            at = block.header.parent;
            blocks.push(block);
        }
        if blocks.is_empty() {
            fx.serve.push((from, fetch));
            return;
        }
        blocks.reverse();
        let message = PeerMessage::Blocks(Box::new(Blocks { blocks, commit: None }));
        fx.send(Destination::One(from), message);
    }

    pub(super) fn on_blocks(&mut self, now: Now, from: NodeId, blocks: VerifiedBlocks, fx: &mut Effects) {
        let Some(last) = blocks.blocks.last() else { return };
        let last = (last.header.height, last.digest);
        match blocks.commit {
            Some(commit) => {
                if commit.claim.digest != last.1 || last.0 <= self.tree.root.header.height {
                    return;
                }
                let root = (self.tree.root.header.height, self.tree.root.digest);
                let next = blocks.blocks.iter().find(|b| Some(b.header.height) == root.0.next());
                if next.is_some_and(|b| b.header.parent != root.1) {
                    // A certified chain that does not contain what is committed here.
                    self.fail(HaltReason::ConflictingCertificate(commit.claim), fx);
                    return;
                }
                for block in blocks.blocks {
                    self.add_block(block, fx);
                }
                self.on_commit_certificate(now, commit, fx);
                // Only a peer whose answer helped is asked at once for more; others wait their turn.
                let helped = self.tree.root.header.height > root.0;
                if helped && !self.halted && self.target.claim.height > self.tree.root.header.height {
                    self.catch_up = Some(Want { ask_at: now.mono_ms + 4 * self.patience_ms(), tries: 0 });
                    self.fetch_committed(Some(from), fx);
                }
            }
            None => self.on_wanted_blocks(blocks, last.1, fx),
        }
    }

    fn on_wanted_blocks(&mut self, blocks: VerifiedBlocks, last: BlockDigest, fx: &mut Effects) {
        let root = self.tree.root.header.height;
        let ceiling = self.window_floor().plus(WINDOW_HEIGHTS_MAX);
        let in_window = blocks.blocks.iter().all(|b| b.header.height <= ceiling);
        if !in_window || self.wanted.remove(&last).is_none() {
            return;
        }
        let first = blocks.blocks.first().map(|b| (b.header.parent, b.header.height));
        for block in blocks.blocks {
            self.add_block(block, fx);
        }
        if let Some((parent, height)) = first
            && height > root
            && !self.tree.holds(&parent)
        {
            // Part of the way; the rest is asked for next, then this again.
            self.want(parent);
            self.want(last);
        }
    }
}
