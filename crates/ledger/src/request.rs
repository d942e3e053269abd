//! What a command asks of the ledger, and its canonical bytes.
//!
//! The payload of a [`wire::Command`] is a format version byte ([`PAYLOAD_VERSION`]), a tag byte, and the fields in
//! order. Decoding is exact: one request, one encoding. What is signed is what runs: a call names its module by hash.

use hopper::cost::Cost;
use hopper::ir::{Label, Lineage, ModuleId, limits};
use wire::codec::encode_bytes;
use wire::limits::{PAYLOAD_BYTES_MAX, SIGNERS_MAX};
use wire::{Decode, DecodeError, Encode, Guard, Name, Reader, enum_codec, struct_codec};

/// The version byte at the start of every payload.
pub const PAYLOAD_VERSION: u8 = 2;
/// Permits in one command, all signers together.
pub const PERMITS_MAX: usize = 32;

/// A call of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The module.
    pub module: ModuleId,
    /// The action, by its place in the module.
    pub function: u16,
    /// The arguments' canonical bytes, one after the other.
    pub args: Vec<u8>,
    /// What it may cost at most; without one, what any command may.
    pub limit: Option<Cost>,
    /// Signers that limit what their signature is good for, by ascending place.
    pub scopes: Vec<Scope>,
}

/// What one signature is good for. A signer without a scope lends its authority to whatever the action does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The signer's place in the command's list.
    pub signer: u8,
    /// The uses allowed. None at all: the signature counts for nothing but that the command may be sent.
    pub permits: Vec<Permit>,
}
struct_codec!(Scope { signer: u8, permits: Vec<Permit> });

/// A use that a signer allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// The function's lineage: any version of it.
    pub lineage: Lineage,
    /// The function: the action that is called, or a public one that asks for the signer's authority.
    pub function: Label,
    /// At most so much in all, summed over its uses.
    pub most: Option<Most>,
}
struct_codec!(Permit { lineage: Lineage, function: Label, most: Option<Most> });

/// A limit on the sum of one argument over all uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// The parameter, which is a whole number.
    pub parameter: u8,
    /// At most.
    pub amount: u128,
}
struct_codec!(Most { parameter: u8, amount: u128 });

impl Encode for Call {
    fn encode(&self, out: &mut Vec<u8>) {
        self.module.encode(out);
        self.function.encode(out);
        encode_bytes(&self.args, out);
        self.limit.encode(out);
        self.scopes.encode(out);
    }
}

impl Decode for Call {
    const SIZE_MIN: usize = 32 + 2 + 4 + 1 + 4;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let call = Call {
            module: ModuleId::decode(r)?,
            function: u16::decode(r)?,
            args: r.bytes("arguments", limits::VALUE_BYTES_MAX as usize)?.to_vec(),
            limit: Option::decode(r)?,
            scopes: r.list("scopes", SIGNERS_MAX)?,
        };
        let invalid = |why| Err(DecodeError::Invalid { what: "scopes", why });
        if !call.scopes.is_sorted_by(|a, b| a.signer < b.signer) {
            return invalid("signers must be distinct and ascend");
        }
        if call.scopes.iter().map(|s| s.permits.len()).sum::<usize>() > PERMITS_MAX {
            return invalid("a command has at most 32 permits");
        }
        Ok(call)
    }
}

/// How much of a version of a module may still be used. It only ever becomes less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All of it.
    Live,
    /// By modules that import it, not by commands.
    Blessed,
    /// Not at all, nor what imports it.
    Sealed,
}
enum_codec!(Status { 1 => Live, 2 => Blessed, 3 => Sealed });

/// What a party may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Milliseconds; budgets begin anew whenever the blocks' time passes a multiple of it.
    pub window_ms: u64,
    /// In each window.
    pub cost: Cost,
}
struct_codec!(Quota { window_ms: u64, cost: Cost }
    check |q| q.window_ms > 0, "a window has at least a millisecond");

/// A request, before it is put into a command and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Registers a party. Sent by `admin`.
    RegisterParty {
        /// The new party's name.
        name: Name,
        /// Whose signatures count as the party's.
        guard: Guard,
    },
    /// Gives the command's party another guard. The signers satisfy both, the old one and the new.
    RotateKeys {
        /// Whose signatures count as the party's from then on.
        guard: Guard,
    },
    /// Calls an action.
    Call(Call),
    /// Keeps bytes under the command's log index, and calls an action if there is one: both or neither.
    Note {
        /// The bytes.
        data: Vec<u8>,
        /// What they belong to.
        then: Option<Call>,
    },
    /// Deploys the first version of a module.
    Deploy(Deployment),
    /// Announces a version that replaces the newest of its lineage. The signers satisfy that one's governance.
    Upgrade(Deployment),
    /// Lets less of a version be used; or takes back one that was announced and is not in force yet. The signers satisfy its
    /// governance.
    Seal {
        /// The version.
        module: ModuleId,
        /// How much less.
        status: Status,
    },
    /// Limits what a party may spend, or lifts the limit. Sent by `admin`.
    SetQuota {
        /// The party.
        party: Name,
        /// The limit.
        quota: Option<Quota>,
    },
}

/// A module with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its canonical bytes.
    pub module: Vec<u8>,
    /// Its proofs' canonical bytes.
    pub proofs: Vec<u8>,
    /// The parties of its roles: of a first version all, in order; of a later one those that are new, in order.
    pub roles: Vec<Name>,
}

impl Encode for Deployment {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(&self.module, out);
        encode_bytes(&self.proofs, out);
        self.roles.encode(out);
    }
}

impl Decode for Deployment {
    const SIZE_MIN: usize = 12;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Deployment {
            module: r.bytes("module", limits::MODULE_BYTES_MAX)?.to_vec(),
            proofs: r.bytes("proofs", limits::PROOF_BYTES_MAX)?.to_vec(),
            roles: r.list("roles", limits::TABLE_LEN_MAX)?,
        })
    }
}

impl Request {
    /// The payload of a command that asks for this.
    pub fn to_payload(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// Reads the payload of a command.
    ///
    /// # Errors
    /// If the bytes are not exactly one request.
    pub fn from_payload(payload: &[u8]) -> Result<Request, DecodeError> {
        let mut r = Reader::new(payload);
        let request = Request::decode(&mut r)?;
        r.finish("payload")?;
        Ok(request)
    }
}

impl Encode for Request {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(PAYLOAD_VERSION);
        match self {
            Request::RegisterParty { name, guard } => {
                out.push(1);
                name.encode(out);
                guard.encode(out);
            }
            Request::RotateKeys { guard } => {
                out.push(2);
                guard.encode(out);
            }
            Request::Call(call) => {
                out.push(3);
                call.encode(out);
            }
            Request::Note { data, then } => {
                out.push(4);
                encode_bytes(data, out);
                then.encode(out);
            }
            Request::Deploy(deployment) => {
                out.push(5);
                deployment.encode(out);
            }
            Request::Upgrade(deployment) => {
                out.push(6);
                deployment.encode(out);
            }
            Request::Seal { module, status } => {
                out.push(7);
                module.encode(out);
                status.encode(out);
            }
            Request::SetQuota { party, quota } => {
                out.push(8);
                party.encode(out);
                quota.encode(out);
            }
        }
    }
}

impl Decode for Request {
    const SIZE_MIN: usize = 7;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(r)? {
            PAYLOAD_VERSION => {}
            tag => return Err(DecodeError::Tag { what: "payload version", tag: tag.into() }),
        }
        Ok(match u8::decode(r)? {
            1 => Request::RegisterParty { name: Name::decode(r)?, guard: Guard::decode(r)? },
            2 => Request::RotateKeys { guard: Guard::decode(r)? },
            3 => Request::Call(Call::decode(r)?),
            4 => Request::Note { data: r.bytes("data", PAYLOAD_BYTES_MAX)?.to_vec(), then: Option::decode(r)? },
            5 => Request::Deploy(Deployment::decode(r)?),
            6 => Request::Upgrade(Deployment::decode(r)?),
            7 => Request::Seal { module: ModuleId::decode(r)?, status: Status::decode(r)? },
            8 => Request::SetQuota { party: Name::decode(r)?, quota: Option::decode(r)? },
            tag => return Err(DecodeError::Tag { what: "request", tag: tag.into() }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Hash;

    #[test]
    fn one_encoding_each() {
        let name = Name::new("p").unwrap();
        let guard = Guard::Threshold { k: 1, keys: vec![] };
        let permit = |most| Permit { lineage: Lineage(Hash::of(b"l")), function: Label::new("debit").unwrap(), most };
        let scope = |signer, permits| Scope { signer, permits };
        let call = Call {
            module: ModuleId(Hash::of(b"m")),
            function: 3,
            args: vec![1, 2],
            limit: Some(Cost([1, 2, 3, 4, 5, 6])),
            scopes: vec![
                scope(0, vec![]),
                scope(3, vec![permit(None), permit(Some(Most { parameter: 1, amount: 7 }))]),
            ],
        };
        let deployment = Deployment { module: vec![1], proofs: vec![], roles: vec![name.clone()] };
        let all = [
            Request::RegisterParty { name: name.clone(), guard: guard.clone() },
            Request::RotateKeys { guard },
            Request::Call(call.clone()),
            Request::Note { data: b"memo".to_vec(), then: None },
            Request::Note { data: vec![], then: Some(call.clone()) },
            Request::Deploy(deployment.clone()),
            Request::Upgrade(deployment),
            Request::Seal { module: ModuleId(Hash::ZERO), status: Status::Blessed },
            Request::SetQuota { party: name.clone(), quota: None },
            Request::SetQuota { party: name, quota: Some(Quota { window_ms: 1, cost: Cost::ZERO }) },
        ];
        for request in all {
            let payload = request.to_payload();
            assert_eq!(Request::from_payload(&payload), Ok(request));
            let mut long = payload.clone();
            long.push(0);
            assert!(Request::from_payload(&long).is_err());
            assert!(Request::from_payload(&payload[..payload.len() - 1]).is_err());
        }
        for scopes in [vec![scope(1, vec![]), scope(1, vec![])], vec![scope(0, vec![permit(None); 33])]] {
            assert!(Request::from_payload(&Request::Call(Call { scopes, ..call.clone() }).to_payload()).is_err());
        }
        assert!(Request::from_payload(&[1, 2]).is_err(), "another version");
        assert!(Request::from_payload(&[]).is_err());
    }
}
