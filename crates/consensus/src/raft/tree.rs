//! The blocks above the committed one, as a tree. Every node's parent is in the tree or is the committed block.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::merkle::Frontier;
use wire::{BlockDigest, BlockHeader, Hash, Height, Proposal, Verified};

use crate::verify::VerifiedBlock;

/// What a block's check against its parent and the ledger has found so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Something is still missing: an ancestor's check, the execution of the height it claims, or time.
    Waiting,
    /// The header follows from its parent and its claim is what this node found too.
    Passed,
    /// Never to be voted for.
    Failed,
}

/// One uncommitted block, held with its entries.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub block: Arc<VerifiedBlock>,
    /// The log's tree after this block; what the header's log root must equal.
    pub frontier: Frontier,
    pub check: Check,
    /// The leader's proposal of this very block in the current term, if it came.
    pub proposal: Option<Verified<Proposal>>,
    /// Written to the log, in this turn's batch or before.
    pub journaled: bool,
}

impl Node {
    pub fn header(&self) -> &BlockHeader {
        &self.block.header
    }
}

/// The newest committed block: the root of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    pub header: BlockHeader,
    pub digest: BlockDigest,
    pub frontier: Frontier,
}

/// All blocks above the root.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub root: Root,
    nodes: BTreeMap<BlockDigest, Node>,
}

impl Tree {
    pub fn new(root: Root) -> Tree {
        Tree { root, nodes: BTreeMap::new() }
    }

    pub fn node(&self, digest: &BlockDigest) -> Option<&Node> {
        self.nodes.get(digest)
    }

    pub fn node_mut(&mut self, digest: &BlockDigest) -> Option<&mut Node> {
        self.nodes.get_mut(digest)
    }

    pub fn nodes(&self) -> impl Iterator<Item = (&BlockDigest, &Node)> {
        self.nodes.iter()
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True if the block is the root or above it.
    pub fn holds(&self, digest: &BlockDigest) -> bool {
        *digest == self.root.digest || self.nodes.contains_key(digest)
    }

    /// The header of the root or of a node.
    pub fn header(&self, digest: &BlockDigest) -> Option<&BlockHeader> {
        if *digest == self.root.digest { Some(&self.root.header) } else { self.node(digest).map(Node::header) }
    }

    /// The log's tree after the root or a node.
    pub fn frontier(&self, digest: &BlockDigest) -> Option<&Frontier> {
        if *digest == self.root.digest { Some(&self.root.frontier) } else { self.node(digest).map(|n| &n.frontier) }
    }

    /// Adds a block whose parent is held. False, and nothing changes, if the parent is missing, the block is known, or its
    /// height, epoch or term does not follow from its parent's: along any path of the tree heights rise by one and terms
    /// never fall.
    pub fn insert(&mut self, block: Arc<VerifiedBlock>) -> bool {
        if self.holds(&block.digest) {
            return false;
        }
        let (Some(parent), Some(below)) = (self.header(&block.header.parent), self.frontier(&block.header.parent))
        else {
            return false;
        };
        let header = &block.header;
        if Some(header.height) != parent.height.next() || header.epoch != parent.epoch || header.term < parent.term {
            return false;
        }
        let mut frontier = below.clone();
        let leaves: Vec<Hash> = block.entries.iter().map(|e| e.leaf()).collect();
        frontier.extend(&leaves);
        let node = Node { frontier, check: Check::Waiting, proposal: None, journaled: false, block };
        self.nodes.insert(node.block.digest, node);
        true
    }

    /// The chain from just above the root up to `digest`, oldest first; `None` if it does not reach the root.
    pub fn chain(&self, digest: &BlockDigest) -> Option<Vec<BlockDigest>> {
        let mut chain = Vec::new();
        let mut at = *digest;
        while at != self.root.digest {
            chain.push(at);
            at = self.nodes.get(&at)?.header().parent;
        }
        chain.reverse();
        Some(chain)
    }

    /// True if `digest` is `ancestor` or descends from it; both held.
    pub fn descends(&self, digest: &BlockDigest, ancestor: &BlockDigest) -> bool {
        let Some(floor) = self.header(ancestor).map(|h| h.height) else { return false };
        let mut at = *digest;
        loop {
            if at == *ancestor {
                return true;
            }
            match self.nodes.get(&at) {
                Some(node) if node.header().height > floor => at = node.header().parent,
                _ => return false,
            }
        }
    }

    /// Makes a node the root; everything that does not descend from it is dropped. Returns the new root's block.
    pub fn advance(&mut self, digest: &BlockDigest) -> Option<Arc<VerifiedBlock>> {
        let node = self.nodes.remove(digest)?;
        self.root = Root { header: node.block.header.clone(), digest: node.block.digest, frontier: node.frontier };
        let keep: Vec<BlockDigest> =
            self.nodes.keys().filter(|d| self.descends(d, &self.root.digest)).copied().collect();
        let mut kept = BTreeMap::new();
        for digest in keep {
            if let Some(node) = self.nodes.remove(&digest) {
                kept.insert(digest, node);
            }
        }
        self.nodes = kept;
        Some(node.block)
    }

    /// Keeps only the chains below the given blocks.
    pub fn retain_chains(&mut self, tips: &[BlockDigest]) {
        let keep: std::collections::BTreeSet<BlockDigest> =
            tips.iter().filter_map(|tip| self.chain(tip)).flatten().collect();
        self.nodes.retain(|digest, _| keep.contains(digest));
    }

    /// Digests by ascending height.
    pub fn ascending(&self) -> Vec<(Height, BlockDigest)> {
        let mut all: Vec<(Height, BlockDigest)> = self.nodes.iter().map(|(d, n)| (n.header().height, *d)).collect();
        all.sort_unstable();
        all
    }
}
