//! The demo's contracts: compiled from the library here, judged by four replicas, run by them.

use hopper::ir::ModuleId;
use hopper::library::Library;
use hopperc::diagnostic::{SourceFile, render};
use hopperc::front::compile;
use ledger::request::{Call, Deployment, Request};
use ledger::{Operation, cash, show};
use wire::{Decode, Encode, Hash, Name, Receipt};

use super::stage::Stage;
use super::{ensure, say, step};
use crate::cli::contract::call_of;
use crate::cli::{CliError, diff};

/// The library's contracts that the demo runs.
const SOURCES: [(&str, &str); 4] = [
    ("escrow.hop", include_str!("../../../crates/hopperc/lib/escrow.hop")),
    ("bond.hop", include_str!("../../../crates/hopperc/lib/bond.hop")),
    ("deed.hop", include_str!("../../../crates/hopperc/lib/deed.hop")),
    ("library.hop", include_str!("../../../crates/hopperc/lib/library.hop")),
];

/// Who has which role. The demo's parties are few.
const ROLES: [(&str, &str); 3] = [("trustee", "treasury"), ("registrar", "admin"), ("librarian", "admin")];

/// Modules on the demo's ledger, as the client knows them.
struct Contracts {
    library: Library,
}

impl Contracts {
    /// A call of an action; the arguments as people write them.
    fn call(&self, module: &str, action: &str, args: &[&str]) -> Result<Call, CliError> {
        let head = self.library.heads.values().filter_map(|id| self.library.units.get(id));
        let unit = head.into_iter().find(|u| u.module.name.as_str() == module);
        let unit = unit.ok_or_else(|| CliError::new(format!("no module {module}")))?;
        let place = unit.module.functions.iter().position(|f| f.name.as_str() == action);
        let place = place.ok_or_else(|| CliError::new(format!("no action {action}")))?;
        call_of(&self.library.universe, unit, place, action, args)
    }

    /// Calls an action that must take effect.
    async fn run(
        &self,
        stage: &mut Stage,
        signers: &[&str],
        module: &str,
        action: &str,
        args: &[&str],
    ) -> Result<Receipt, CliError> {
        let call = self.call(module, action, args)?;
        let receipt = stage.request(signers, Request::Call(call)).await?;
        ensure(receipt.outcome.is_applied(), &format!("{module}.{action}: {}", receipt.outcome))?;
        Ok(receipt)
    }

    /// What a command changed, field by field.
    async fn changes(&self, stage: &Stage, receipt: &Receipt) -> Vec<String> {
        let path = format!("/v1/commands/{}", receipt.command);
        let answer = stage.http.get_any(&path).await.ok();
        let diff = answer.and_then(|(_, answer)| diff::checked(&answer, &receipt.diff));
        diff.map(|diff| show::changes_text(&self.library, diff.contract())).unwrap_or_default()
    }
}

pub(super) async fn play(stage: &mut Stage) -> Result<(), CliError> {
    step("contracts: compiled and proved here, judged by every node, run by every node");
    let contracts = deploy(stage).await?;
    for party in ["alice", "bob", "treasury"] {
        stage.apply(party, &format!("CreateAccount {party}")).await?;
    }
    stage.apply("treasury", "AdjustAccount alice 1%1").await?;
    stage.apply("treasury", "AdjustAccount bob 1%1").await?;
    allowance(stage, &contracts).await?;
    escrow(stage, &contracts).await?;
    bond(stage, &contracts).await?;
    deed(stage, &contracts).await?;
    books(stage, &contracts).await
}

async fn deploy(stage: &mut Stage) -> Result<Contracts, CliError> {
    let files = SOURCES.map(|(name, text)| SourceFile { name: name.to_owned(), text: text.to_owned() });
    let mut library = cash::library();
    let compiled = compile(&files, &library).map_err(|wrong| CliError::new(render(&files, &wrong, false)))?;
    for one in compiled {
        let party = |role: &hopper::ir::Label| {
            let found = ROLES.iter().find(|(name, _)| *name == role.as_str());
            found.and_then(|(_, party)| Name::new(party).ok()).ok_or_else(|| CliError::new(format!("role {role}")))
        };
        let roles = one.module.roles.iter().map(party).collect::<Result<_, _>>()?;
        let (module, proofs) = (one.module.to_bytes(), one.proofs.to_bytes());
        let (size, proved) = (module.len(), one.costs.iter().map(|c| c.proved).sum::<usize>());
        let receipt = stage.request(&["alice"], Request::Deploy(Deployment { module, proofs, roles })).await?;
        ensure(receipt.outcome.is_applied(), &format!("{}: {}", one.module.name, receipt.outcome))?;
        let ModuleId(id) = one.module.id();
        say(format!("{} {}: {size} bytes, {proved} obligations proved", one.module.name, id.short()));
        hopper::verify::deploy(&mut library, one.module, &one.proofs)?;
    }
    Ok(Contracts { library })
}

async fn allowance(stage: &mut Stage, contracts: &Contracts) -> Result<(), CliError> {
    let run = |signer, action, args| (signer, action, args);
    for (signer, action, args) in [
        run("alice", "approve", ["alice", "alice", "bob", "5000"]),
        run("bob", "transfer_from", ["bob", "alice", "bob", "3000"]),
    ] {
        contracts.run(stage, &[signer], "bank.cash", action, &args).await?;
    }
    let over = contracts.call("bank.cash", "transfer_from", &["bob", "alice", "bob", "3000"])?;
    let receipt = stage.request(&["bob"], Request::Call(over)).await?;
    say(format!("allowance of 5000: bob spends 3000; then {}", receipt.outcome));
    ensure(!receipt.outcome.is_applied(), "an allowance was overspent")
}

async fn escrow(stage: &mut Stage, contracts: &Contracts) -> Result<(), CliError> {
    let terms = ["alice", "bob", "treasury", "4102444800000", "100"];
    let offer = contracts.run(stage, &["bob"], "trade.escrow", "offer", &terms).await?;
    let id = Hash::from_bytes(&offer.result)?.to_string();
    contracts.run(stage, &["alice"], "trade.escrow", "fund", &[&id, "10000", "alice"]).await?;
    let early = contracts.call("trade.escrow", "refund", &[&id, "alice"])?;
    let refused = stage.request(&["alice"], Request::Call(early)).await?;
    ensure(!refused.outcome.is_applied(), "the buyer took the pot back before the deadline")?;
    let released = contracts.run(stage, &["treasury"], "trade.escrow", "release", &[&id, "treasury"]).await?;
    say("escrow: the buyer cannot take 10000 back before the deadline; the arbiter releases, for 1 %".to_owned());
    contracts.changes(stage, &released).await.into_iter().filter(|l| l.contains("balance")).for_each(say);
    Ok(())
}

async fn bond(stage: &mut Stage, contracts: &Contracts) -> Result<(), CliError> {
    let both = ["alice", "treasury"];
    let name = Hash::of(b"bond of the demo").to_string();
    let terms = [name.as_str(), "alice", "treasury", "1000", "500", "1", "2020-01-01"];
    let issued = contracts.run(stage, &both, "fi.bond", "issue", &terms).await?;
    let id = Hash::from_bytes(&issued.result)?.to_string();
    contracts.run(stage, &["alice"], "fi.bond", "sell", &[&id, "alice", "bob", "333"]).await?;
    contracts.run(stage, &["alice"], "fi.bond", "coupon", &[&id, "alice"]).await?;
    let redeemed = contracts.run(stage, &both, "fi.bond", "redeem", &[&id, "alice"]).await?;
    say("bond of 1000: 333 sold to bob, a coupon of 5 % shared, redeemed".to_owned());
    contracts.changes(stage, &redeemed).await.into_iter().filter(|l| l.contains("balance")).for_each(say);
    Ok(())
}

async fn deed(stage: &mut Stage, contracts: &Contracts) -> Result<(), CliError> {
    let parcel = "parcel-7";
    let owners = [parcel, "alice", "bob", "60", "treasury"];
    contracts.run(stage, &["admin"], "land.deed", "register", &owners).await?;
    let sale = contracts.call("land.deed", "sell", &[parcel, "bob", "1000"])?;
    let refused = stage.request(&["bob"], Request::Call(sale)).await?;
    ensure(!refused.outcome.is_applied(), "a joint deed was sold by one owner")?;
    let sold = contracts.run(stage, &["bob", "alice"], "land.deed", "sell", &[parcel, "bob", "1000"]).await?;
    say("joint deed, 60 to 40: bob alone cannot sell; both sign, the price is split".to_owned());
    contracts.changes(stage, &sold).await.into_iter().for_each(say);
    Ok(())
}

async fn books(stage: &mut Stage, contracts: &Contracts) -> Result<(), CliError> {
    let book = ["978-3-16-148410-0", "1"];
    contracts.run(stage, &["alice"], "town.library", "join_library", &["alice"]).await?;
    contracts.run(stage, &["admin"], "town.library", "acquire", &book).await?;
    let loan = [book[0], book[1], "alice"];
    contracts.run(stage, &["alice", "admin"], "town.library", "lend", &loan).await?;
    let again = contracts.call("town.library", "lend", &loan)?;
    let refused = stage.request(&["alice", "admin"], Request::Call(again)).await?;
    contracts.run(stage, &["alice"], "town.library", "give_back", &loan).await?;
    say(format!("a library book: lent to alice; lent twice: {}; given back", refused.outcome));
    ensure(!refused.outcome.is_applied(), "a book was lent twice")
}

/// What a request is, for messages.
pub(super) fn name_of(request: &Request) -> String {
    match Operation::from(request.clone()) {
        Operation::Other(Request::Deploy(_)) => "a deployment".to_owned(),
        operation => ledger::classic::print(&operation).unwrap_or_else(|| "a call".to_owned()),
    }
}
