//! Messages and outputs in a few words.

use wire::peer::{Fetch, Standing};
use wire::statement::Claim;
use wire::{Certificate, ElectionCertificate, PeerMessage};

fn claim(c: &Claim) -> String {
    format!("t{} h{} {}", c.term, c.height, &c.digest.to_string()[..6])
}

fn certificate(c: &Certificate) -> String {
    let authors: Vec<String> = c.votes.iter().map(|v| v.unverified().author.to_string()).collect();
    format!("[{:?} {} by {}]", c.phase, claim(&c.claim), authors.join(" "))
}

fn election(e: &ElectionCertificate) -> String {
    let authors: Vec<String> = e.votes.iter().map(|v| v.unverified().author.to_string()).collect();
    format!("election of {} by {}", e.term, authors.join(" "))
}

fn standing(s: &Standing) -> String {
    let e = s.election.as_ref().map_or("no election".to_owned(), election);
    format!("{e}, commit {}", certificate(&s.commit))
}

/// A message in one line.
pub fn describe(message: &PeerMessage) -> String {
    match message {
        PeerMessage::AppendEntries(a) => {
            let p = a.proposal.unverified();
            let h = &a.block.header;
            let carried = a.election.as_ref().map_or(String::new(), |e| format!(", {}", election(e)));
            let digest = p.digest.to_string();
            format!(
                "append t{} h{} {} on {} by {}, {} entries, claims h{}{carried}",
                p.term,
                p.height,
                &digest[..6],
                &h.parent.to_string()[..6],
                p.author,
                a.block.entries.len(),
                h.executed.height,
            )
        }
        PeerMessage::Vote(v) => {
            let v = v.unverified();
            format!("vote {:?} {} by {}", v.phase, claim(&v.claim()), v.author)
        }
        PeerMessage::ElectionVote(m) => {
            let v = m.vote.unverified();
            format!("asks for t{} with {} by {}; {}", v.term, claim(&v.claim), v.author, standing(&m.standing))
        }
        PeerMessage::Heartbeat(m) => {
            let h = m.heartbeat.unverified();
            format!("heartbeat t{} by {}; {}", h.term, h.author, standing(&m.standing))
        }
        PeerMessage::Fetch(Fetch::Committed(height)) => format!("fetch committed from {height}"),
        PeerMessage::Fetch(Fetch::Block(b)) => {
            format!("fetch block {} above {}", &b.digest.to_string()[..6], b.above)
        }
        PeerMessage::Blocks(b) => {
            let heights: Vec<String> = b.blocks.iter().map(|b| b.header.height.to_string()).collect();
            let commit = b.commit.as_ref().map_or("no commit".to_owned(), certificate);
            format!("blocks {} with {commit}", heights.join(" "))
        }
        PeerMessage::Evidence(e) => format!("evidence against {}: {}", e.accused(), e.offence()),
        PeerMessage::Forward(c) => format!("forwards {} commands", c.0.len()),
        PeerMessage::Rejoin => "rejoins".to_owned(),
        PeerMessage::Recall(r) => {
            let votes: Vec<String> = r.votes.iter().map(|v| claim(&v.unverified().claim())).collect();
            let asked = r.election_vote.as_ref().map_or("none".to_owned(), |v| format!("t{}", v.unverified().term));
            format!("recalls votes {votes:?}, asked {asked}; {}", standing(&r.standing))
        }
        PeerMessage::Standing(s) => format!("standing: {}", standing(s)),
    }
}
