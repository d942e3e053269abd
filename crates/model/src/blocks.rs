//! The blocks that can exist within the bounds of a search: a fixed tree, built once.
//!
//! Blocks are not part of a state. Whoever leads a term is taken to have proposed everything that a voter could accept, so
//! a block exists for every place in the tree, and what the voters did with it is all there is to know.

/// Number of a block in its [`Tree`]; the base is number 0.
pub type BlockId = usize;

/// A set of blocks, one bit each.
pub type BlockSet = u64;

/// One block: what its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The term of its first proposal; 0 for the base.
    pub term: u8,
    /// Its height; 0 for the base.
    pub height: u8,
    /// The block it extends; the base names itself.
    pub parent: BlockId,
    /// Which of the blocks with the same term and parent it is.
    pub tag: u8,
}

/// The shape of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// For each term, how many blocks its leader can put on top of one another.
    pub pipeline: Vec<u8>,
    /// No block is higher.
    pub height_max: u8,
    /// Conflicting blocks per term and parent.
    pub siblings: u8,
}

/// All blocks within the bounds.
#[derive(Debug, Clone)]
pub struct Tree {
    blocks: Vec<Block>,
    /// For each block, itself and its ancestors of the same term.
    same_term: Vec<BlockSet>,
    /// For each block, itself and all its ancestors.
    ancestors: Vec<BlockSet>,
}

/// The bounds ask for more blocks than a [`BlockSet`] can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyBlocks;

impl std::fmt::Display for TooManyBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the bounds ask for more than {} blocks", BlockSet::BITS)
    }
}

impl std::error::Error for TooManyBlocks {}

impl Tree {
    /// The tree of a shape: below every block of term t, for every term from t on, `siblings` children.
    pub fn new(shape: &Shape) -> Result<Tree, TooManyBlocks> {
        let base = Block { term: 0, height: 0, parent: 0, tag: 0 };
        let mut tree = Tree { blocks: vec![base], same_term: vec![1], ancestors: vec![1] };
        for (term, pipeline) in (1..).zip(&shape.pipeline) {
            // The parents that a block of this term can have: first those of earlier terms, then its own.
            let mut parents: Vec<BlockId> = (0..tree.blocks.len()).collect();
            for _ in 0..*pipeline {
                let from = tree.blocks.len();
                for parent in parents {
                    if tree.blocks[parent].height < shape.height_max {
                        (0..shape.siblings).try_for_each(|tag| tree.push(term, parent, tag))?;
                    }
                }
                parents = (from..tree.blocks.len()).collect();
            }
        }
        Ok(tree)
    }

    fn push(&mut self, term: u8, parent: BlockId, tag: u8) -> Result<(), TooManyBlocks> {
        let id = self.blocks.len();
        let bit = 1u64.checked_shl(id as u32).ok_or(TooManyBlocks)?;
        let below = &self.blocks[parent];
        let linked = if below.term == term { self.same_term[parent] } else { 0 };
        self.blocks.push(Block { term, height: below.height + 1, parent, tag });
        self.same_term.push(linked | bit);
        self.ancestors.push(self.ancestors[parent] | bit);
        Ok(())
    }

    /// A block.
    pub fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id]
    }

    /// The blocks above the base, parents before children.
    pub fn ids(&self) -> std::ops::Range<BlockId> {
        1..self.blocks.len()
    }

    /// A block and its ancestors of the same term: what a vote for it counts for.
    pub fn same_term(&self, id: BlockId) -> BlockSet {
        self.same_term[id]
    }

    /// A block and all its ancestors, the base included.
    pub fn ancestors(&self, id: BlockId) -> BlockSet {
        self.ancestors[id]
    }

    /// True if `id` is `ancestor` or descends from it.
    pub fn descends(&self, id: BlockId, ancestor: BlockId) -> bool {
        self.ancestors[id] >> ancestor & 1 == 1
    }

    /// The lowest block of the same term at or below `id`: the first block of its term on this branch.
    pub fn first_of_term(&self, id: BlockId) -> BlockId {
        self.same_term[id].trailing_zeros() as BlockId
    }

    /// Two blocks of the set of which neither descends from the other, if there are any.
    pub fn conflict(&self, set: BlockSet) -> Option<(BlockId, BlockId)> {
        let within = |id: &BlockId| set >> id & 1 == 1;
        let apart = |a: BlockId, b: BlockId| !self.descends(a, b) && !self.descends(b, a);
        self.ids()
            .filter(within)
            .find_map(|a| (a + 1..self.blocks.len()).filter(within).find(|b| apart(a, *b)).map(|b| (a, b)))
    }

    /// A readable name: the path from the base, each block as its term and a letter, as in `1A/2B`.
    pub fn name(&self, id: BlockId) -> String {
        if id == 0 {
            return "base".to_owned();
        }
        let block = &self.blocks[id];
        let own = format!("{}{}", block.term, char::from(b'A' + block.tag));
        if block.parent == 0 { own } else { format!("{}/{own}", self.name(block.parent)) }
    }
}
