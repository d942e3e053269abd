//! Certificates: what makes one valid, and the types that say that one is.

use std::collections::BTreeSet;

use thiserror::Error;
use wire::statement::Claim;
use wire::{BlockDigest, BlockHeader, Certificate, ClusterId, ElectionCertificate, Epoch, FaultModel, NodeId, Phase};

use crate::quorum::Quorum;
use crate::rules::{Rule, Rules};

/// A certificate that was checked, or assembled here from verified votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCertificate(Certificate);

/// An election certificate that was checked, or assembled here from verified votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedElection(ElectionCertificate);

macro_rules! wrapper {
    ($name:ident, $inner:ty) => {
        impl $name {
            /// Wraps what was just checked or assembled.
            pub(crate) fn assume(inner: $inner) -> $name {
                $name(inner)
            }

            /// Takes one from this node's own checksummed store, where only verified ones are ever written.
            pub fn from_own_log(inner: $inner) -> $name {
                $name(inner)
            }

            /// For sending on.
            pub fn into_inner(self) -> $inner {
                self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = $inner;
            fn deref(&self) -> &$inner {
                &self.0
            }
        }
    };
}
wrapper!(VerifiedCertificate, Certificate);
wrapper!(VerifiedElection, ElectionCertificate);

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// It claims to be an epoch's base, and is not.
    #[error("certificate of term 0 names a block that is not the base of the epoch")]
    Base,
    /// A vote is of another phase, term, epoch or height than the certificate.
    #[error("certificate holds a vote of node {0} that is of another phase, term, epoch or height")]
    ForeignVote(NodeId),
    /// A vote names a block that the headers do not link to the certified one.
    #[error("certificate holds a vote of node {0} for a block that is not shown to descend from the certified one")]
    Unlinked(NodeId),
    /// The headers are not a chain of one term from the certified block on.
    #[error("certificate headers are not a chain of its term that starts at the certified block")]
    Headers,
    /// The weight is too small.
    #[error("certificate has weight {weight}, a quorum is {quorum}")]
    Weight {
        /// Weight of its distinct authors.
        weight: u64,
        /// Weight needed.
        quorum: u64,
    },
    /// An author appears twice.
    #[error("certificate counts node {0} twice")]
    Duplicate(NodeId),
    /// An election's claims: the certificate attached is not the highest claimed, or not older than the term.
    #[error("election certificate of term {0} does not prove its highest claim")]
    Claim(u64),
    /// Which round proves what depends on the fault model.
    #[error("certificate is of the wrong phase for its use")]
    Phase,
}

/// Checks all of a certificate but its signatures: one phase, one term, distinct authors, a quorum, each vote for the
/// certified block or for a descendant of the same term.
pub(crate) fn check_certificate<R: Rules>(
    certificate: &Certificate,
    cluster: &ClusterId,
    epoch: Epoch,
    base: &Claim,
    quorum: &Quorum,
) -> Result<(), CertificateError> {
    if certificate.is_base() {
        let empty = certificate.votes.is_empty() && certificate.headers.is_empty();
        return if certificate.claim == *base && empty { Ok(()) } else { Err(CertificateError::Base) };
    }
    let linked = linked_blocks::<R>(certificate, cluster, epoch)?;
    let mut authors = BTreeSet::new();
    for vote in &certificate.votes {
        let vote = vote.unverified();
        if vote.phase != certificate.phase || vote.term != certificate.claim.term || vote.epoch != epoch {
            return Err(CertificateError::ForeignVote(vote.author));
        }
        let direct = vote.digest == certificate.claim.digest && vote.height == certificate.claim.height;
        let linked = || linked.iter().any(|(digest, h)| *digest == vote.digest && h.height == vote.height);
        if !direct && !linked() && R::holds(Rule::VotesNameTheirBlock) {
            return Err(CertificateError::Unlinked(vote.author));
        }
        if !authors.insert(vote.author) {
            if !R::holds(Rule::DistinctAuthors) {
                continue;
            }
            return Err(CertificateError::Duplicate(vote.author));
        }
    }
    let heads = certificate.votes.iter().map(|vote| quorum.weight_of(vote.unverified().author)).sum::<u64>();
    if !R::holds(Rule::DistinctAuthors) && heads >= quorum.weight() {
        return Ok(());
    }
    match quorum.reached(&authors) {
        Some(_) => Ok(()),
        None => Err(CertificateError::Weight { weight: quorum.weight_of_all(&authors), quorum: quorum.weight() }),
    }
}

/// The headers with their digests, checked to be a chain of the certificate's term from the certified block on.
///
/// The term matters: votes of a term count for ancestors proposed in that same term only. A chain that ran further
/// down would turn votes of a late term into a high certificate for an old block, and that forks.
fn linked_blocks<'a, R: Rules>(
    certificate: &'a Certificate,
    cluster: &ClusterId,
    epoch: Epoch,
) -> Result<Vec<(BlockDigest, &'a BlockHeader)>, CertificateError> {
    let mut linked: Vec<(BlockDigest, &BlockHeader)> = Vec::with_capacity(certificate.headers.len());
    for header in &certificate.headers {
        let digest = header.digest(cluster);
        let follows = match linked.last() {
            None => digest == certificate.claim.digest && header.height == certificate.claim.height,
            Some((parent, below)) => header.parent == *parent && Some(header.height) == below.height.next(),
        };
        let within = header.term == certificate.claim.term || !R::holds(Rule::LinksWithinTerm);
        if !follows || !within || header.epoch != epoch {
            return Err(CertificateError::Headers);
        }
        linked.push((digest, header));
    }
    Ok(linked)
}

/// Checks all of an election certificate but the signatures: distinct authors, a quorum, one term, and the proof of the
/// highest claim, of an earlier term.
pub(crate) fn check_election<R: Rules>(
    election: &ElectionCertificate,
    epoch: Epoch,
    model: FaultModel,
    quorum: &Quorum,
) -> Result<(), CertificateError> {
    let mut authors = BTreeSet::new();
    let mut highest: Option<Claim> = None;
    for vote in &election.votes {
        let vote = vote.unverified();
        if vote.term != election.term || vote.epoch != epoch || vote.claim.term >= election.term {
            return Err(CertificateError::ForeignVote(vote.author));
        }
        if !authors.insert(vote.author) {
            return Err(CertificateError::Duplicate(vote.author));
        }
        highest = highest.max(Some(vote.claim));
    }
    if quorum.reached(&authors).is_none() {
        return Err(CertificateError::Weight { weight: quorum.weight_of_all(&authors), quorum: quorum.weight() });
    }
    let proven = match (model, &election.highest) {
        _ if !R::holds(Rule::ClaimsProven) => true,
        (FaultModel::Crash, proof) => proof.is_none(),
        (FaultModel::Byzantine, Some(proof)) => proof.phase == Phase::Replicated && Some(proof.claim) == highest,
        (FaultModel::Byzantine, None) => false,
    };
    if proven { Ok(()) } else { Err(CertificateError::Claim(election.term.0)) }
}

/// The block that the first block of an elected term must extend: the highest claim of the election.
pub(crate) fn obliged<R: Rules>(election: &ElectionCertificate) -> Option<Claim> {
    let claims = election.votes.iter().map(|vote| vote.unverified().claim);
    if R::holds(Rule::HighestClaimObliges) { claims.max() } else { claims.min() }
}

/// The phase whose certificates commit, under rules of the caller's.
pub fn commit_phase_under<R: Rules>(model: FaultModel) -> Phase {
    if R::holds(Rule::LockPhase) { commit_phase(model) } else { Phase::Replicated }
}

/// The phase whose certificates commit.
pub fn commit_phase(model: FaultModel) -> Phase {
    match model {
        FaultModel::Byzantine => Phase::Certified,
        FaultModel::Crash => Phase::Replicated,
    }
}
