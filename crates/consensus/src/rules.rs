//! The rules by name, and the seam at which a simulator takes one out.
//!
//! A checker that cannot catch a planted fault proves nothing. So the engine, the verifier and the replica have the rules
//! as a type parameter. [`Standard`] keeps all of them, is the default everywhere, and is the only implementation outside
//! the simulator; with it every question asked here is a constant, and nothing is left of it in the compiled product.

/// A rule that safety, or liveness, rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A statement counts only with a valid signature of the author it names, made for this cluster.
    Signatures,
    /// Each author counts once in a certificate.
    DistinctAuthors,
    /// A certificate links votes to its block through headers of its own term only.
    LinksWithinTerm,
    /// A vote counts for a block only if it names that block's height and term as well as its digest.
    VotesNameTheirBlock,
    /// A quorum is such that two of them share an honest voter.
    QuorumIntersection,
    /// Under Byzantine faults a second round of votes, on the lock, comes before a commit.
    LockPhase,
    /// After its election vote a voter casts no vote of either phase in an earlier term.
    SilenceAfterElectionVote,
    /// The election vote survives a restart.
    ElectionVoteDurable,
    /// What is sent is durable before.
    DurableBeforeSent,
    /// Within a term the votes of a voter form one chain.
    VotesChain,
    /// The first block of a term extends the obliged block.
    FirstBlockObliged,
    /// A claim in an election vote is proven by the certificate it carries.
    ClaimsProven,
    /// The obliged block is that of the highest claim.
    HighestClaimObliges,
    /// Under crash faults an election vote reports the last vote, which is later than any certificate.
    CrashElectionsReportVotes,
    /// A leader that restarts resumes from its last durable proposal.
    LeaderResumes,
    /// A term is never left for an earlier one.
    TermsRise,
    /// A block of a term that was left is not voted for.
    LeftTermsClosed,
    /// A certificate of an earlier term than the commit is legitimate history, and no contradiction.
    OldCertificatesAreHistory,
    /// A voter replaces a leader that does not order a command for a whole timeout, heartbeats or not.
    CommandDeadlines,
    /// A command that no leader could order is no leader's fault.
    HopelessCommandsDropped,
    /// Messages of an older term are answered with proof of the newer one, and votes carry such proof.
    StandingsShared,
    /// A voter joins others in asking for a term only if more than F weigh in.
    JoinAboveF,
    /// Proposals above the window are not kept.
    ProposalWindow,
    /// Votes above the window are not kept.
    VoteWindow,
    /// A leader whose commits stay under a share of the recent best is replaced.
    SlowLeadersReplaced,
    /// Last votes and proposals are sent again until they have had their effect.
    VotesResent,
    /// A commit certificate is written after the votes of this node that it may count.
    CommitsAfterVotes,
    /// Blocks that a term inherits are not held up by this node's clock.
    PastNeedsNoClock,
    /// A voter that restarts still counts its own election vote.
    OwnElectionVoteCounts,
}

impl Rule {
    /// All of them.
    pub const ALL: &[Rule] = &[
        Rule::Signatures,
        Rule::DistinctAuthors,
        Rule::LinksWithinTerm,
        Rule::VotesNameTheirBlock,
        Rule::QuorumIntersection,
        Rule::LockPhase,
        Rule::SilenceAfterElectionVote,
        Rule::ElectionVoteDurable,
        Rule::DurableBeforeSent,
        Rule::VotesChain,
        Rule::FirstBlockObliged,
        Rule::ClaimsProven,
        Rule::HighestClaimObliges,
        Rule::CrashElectionsReportVotes,
        Rule::LeaderResumes,
        Rule::TermsRise,
        Rule::LeftTermsClosed,
        Rule::OldCertificatesAreHistory,
        Rule::CommandDeadlines,
        Rule::HopelessCommandsDropped,
        Rule::StandingsShared,
        Rule::JoinAboveF,
        Rule::ProposalWindow,
        Rule::VoteWindow,
        Rule::SlowLeadersReplaced,
        Rule::VotesResent,
        Rule::CommitsAfterVotes,
        Rule::PastNeedsNoClock,
        Rule::OwnElectionVoteCounts,
    ];
}

/// Which rules are in force.
pub trait Rules: std::fmt::Debug + Clone + Copy + Default + Send + Sync + 'static {
    /// True if `rule` is in force.
    fn holds(rule: Rule) -> bool;
}

/// All rules, as the product runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standard;

impl Rules for Standard {
    #[inline(always)]
    fn holds(_: Rule) -> bool {
        true
    }
}
