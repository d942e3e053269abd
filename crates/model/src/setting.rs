//! What is searched: the cluster, the bounds, and at most one rule that is left out.

use crate::blocks::Shape;

/// Terms a search can have.
pub const TERMS_MAX: usize = 3;

/// What voters may do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// `F` voters sign anything at any time; two rounds of votes.
    Byzantine,
    /// Voters stop and start again; one round of votes.
    Crash,
}

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weakening {
    /// Quorums are simple majorities (n = 5, F = 1: three instead of four).
    MajorityQuorum,
    /// A replication certificate commits.
    NoLockPhase,
    /// After an ElectionVote `certified` votes of the term given up are still cast.
    CertifiedAfterElectionVote,
    /// The same for `replicated` votes.
    ReplicatedAfterElectionVote,
    /// An ElectionVote is sent before it is durable, and a restart forgets it.
    ElectionVoteForgotten,
    /// A `replicated` vote is sent before it is durable, and a restart forgets it.
    VoteForgotten,
    /// The first block of a term may extend anything.
    FirstBlockFree,
    /// Only the term's first block is held against the election; a voter that comes later takes any of its descendants.
    LateFirstUnchecked,
    /// An ElectionVote's claim needs no certificate.
    BareClaims,
    /// The obliged block may be that of any certificate in the election.
    AnyCertificateObliges,
    /// The votes of a voter in a term need not form a chain.
    VotesUnchained,
    /// A vote counts for all ancestors, also those of earlier terms.
    LinksAcrossTerms,
    /// Crash faults: an ElectionVote reports a certificate instead of the last vote.
    CrashElectionByCertificate,
    /// Crash faults: after a restart a leader proposes anew on the obliged block.
    CrashLeaderProposesAnew,
    /// Crash faults: after an ElectionVote `replicated` votes of the term given up are still cast.
    CrashVotesAfterElectionVote,
    /// Crash faults: a vote is sent before it is durable, and a restart forgets it.
    CrashVoteForgotten,
}

impl Weakening {
    /// All of them.
    pub const ALL: [Weakening; 16] = [
        Weakening::MajorityQuorum,
        Weakening::NoLockPhase,
        Weakening::CertifiedAfterElectionVote,
        Weakening::ReplicatedAfterElectionVote,
        Weakening::ElectionVoteForgotten,
        Weakening::VoteForgotten,
        Weakening::FirstBlockFree,
        Weakening::LateFirstUnchecked,
        Weakening::BareClaims,
        Weakening::AnyCertificateObliges,
        Weakening::VotesUnchained,
        Weakening::LinksAcrossTerms,
        Weakening::CrashElectionByCertificate,
        Weakening::CrashLeaderProposesAnew,
        Weakening::CrashVotesAfterElectionVote,
        Weakening::CrashVoteForgotten,
    ];

    /// True if the search without the rule is expected to find a fork.
    ///
    /// Late `replicated` votes lose nothing under Byzantine faults: a voter that votes after its ElectionVote differs in
    /// nothing from one that voted before it and had not seen the certificate, so the reachable states are the same ones.
    pub fn forks(self) -> bool {
        self != Weakening::ReplicatedAfterElectionVote
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Weakening::MajorityQuorum => "majority-quorum",
            Weakening::NoLockPhase => "no-lock-phase",
            Weakening::CertifiedAfterElectionVote => "certified-after-election-vote",
            Weakening::ReplicatedAfterElectionVote => "replicated-after-election-vote",
            Weakening::ElectionVoteForgotten => "election-vote-forgotten",
            Weakening::VoteForgotten => "vote-forgotten",
            Weakening::FirstBlockFree => "first-block-free",
            Weakening::LateFirstUnchecked => "late-first-unchecked",
            Weakening::BareClaims => "bare-claims",
            Weakening::AnyCertificateObliges => "any-certificate-obliges",
            Weakening::VotesUnchained => "votes-unchained",
            Weakening::LinksAcrossTerms => "links-across-terms",
            Weakening::CrashElectionByCertificate => "crash-election-by-certificate",
            Weakening::CrashLeaderProposesAnew => "crash-leader-proposes-anew",
            Weakening::CrashVotesAfterElectionVote => "crash-votes-after-election-vote",
            Weakening::CrashVoteForgotten => "crash-vote-forgotten",
        }
    }
}

/// One search.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The fault model.
    pub faults: Faults,
    /// Voters of weight 1, the faulty ones included.
    pub voters: u8,
    /// `F`.
    pub faulty: u8,
    /// The blocks; its `pipeline` has one number per term.
    pub shape: Shape,
    /// The rule left out.
    pub weakening: Option<Weakening>,
    /// Steps to search at most; `None` searches everything.
    pub depth_max: Option<usize>,
    /// Search only schedules in which nobody acts in a term once somebody has acted in, or asked for, a later one. Enough
    /// to find a fork that is too far away otherwise; never enough to show that there is none.
    pub in_term_order: bool,
    /// Search from where the highest block of term 1 is committed by the votes of two voters that have asked for term 2,
    /// and not from the empty state: six steps nearer to a fork of three terms. Never enough to show that there is none.
    pub after_a_commit: bool,
}

impl Setting {
    /// The smallest number of votes of a quorum.
    pub fn quorum(&self) -> u8 {
        match self.faults {
            Faults::Byzantine if !self.lacks(Weakening::MajorityQuorum) => (self.voters + self.faulty) / 2 + 1,
            _ => self.voters / 2 + 1,
        }
    }

    /// Honest votes without which no quorum comes together: the faulty voters' statements are always there.
    pub fn honest_quorum(&self) -> u8 {
        self.quorum().saturating_sub(self.liars())
    }

    /// Voters that sign anything.
    pub fn liars(&self) -> u8 {
        if self.faults == Faults::Byzantine { self.faulty } else { 0 }
    }

    /// Voters that keep to the rules.
    pub fn honest(&self) -> u8 {
        self.voters.saturating_sub(self.liars())
    }

    /// The terms searched: 1 up to this.
    pub fn terms(&self) -> u8 {
        self.shape.pipeline.len().min(TERMS_MAX) as u8
    }

    /// True if this rule is left out.
    pub fn lacks(&self, weakening: Weakening) -> bool {
        self.weakening == Some(weakening)
    }

    /// One line about the cluster and the bounds.
    pub fn describe(&self) -> String {
        let faults = if self.faults == Faults::Byzantine { "byzantine" } else { "crash" };
        let pipeline: Vec<String> = self.shape.pipeline.iter().map(u8::to_string).collect();
        let height = match self.shape.height_max {
            u8::MAX => String::new(),
            height => format!(", height {height}"),
        };
        let (voters, quorum, terms) = (self.voters, self.quorum(), self.terms());
        let order = if self.in_term_order { ", in order" } else { "" };
        let after = if self.after_a_commit { ", after a commit" } else { "" };
        format!("{faults} n={voters} q={quorum}, {terms} terms, blocks {}{height}{order}{after}", pipeline.join("+"))
    }
}
