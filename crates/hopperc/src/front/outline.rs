//! What a deployed module declares for others, as its author would write it: there may be no text of it at hand.

use hopper::ir::FunctionKind;
use hopper::library::Unit;

use super::types::{Shape, Ty, World, import};

/// The declarations that importers may name, each with its name: `("debit", "public fn debit(p: Party, n: Nat96) -> Coin")`.
pub fn outline(unit: &Unit) -> Vec<(String, String)> {
    // Its imports are there so that their types have names.
    let mut world = World { scopes: Vec::new(), lineages: unit.imports.iter().map(|i| i.lineage).collect() };
    world.scopes.push(import(unit, 0, String::new(), Vec::new(), &world.lineages));
    for (n, of) in unit.imports.iter().enumerate() {
        let last = of.module.name.as_str().rsplit('.').next().unwrap_or_default().to_owned();
        world.scopes.push(import(of, n as u16 + 1, last, Vec::new(), &[]));
    }
    let own = world.own();
    let mut all = Vec::new();
    for record in &own.records {
        all.push((record.name.clone(), format!("record {}", braces(&world, record))));
    }
    for (name, variants) in &own.enums {
        let list: Vec<String> = variants.iter().map(|v| braces(&world, v)).collect();
        all.push((name.clone(), format!("enum {name} {{ {} }}", list.join(", "))));
    }
    for (n, asset) in own.assets.iter().enumerate() {
        // What is conserved is the first field.
        let measure = unit.module.assets.get(n).filter(|a| a.measured).and_then(|a| a.fields.first());
        let conserves = measure.map_or(String::new(), |f| format!(" conserves {}", f.name));
        all.push((asset.shape.name.clone(), format!("asset {}{conserves}", braces(&world, &asset.shape))));
    }
    for protocol in &own.protocols {
        let params = list(&world, &protocol.params);
        all.push((protocol.name.clone(), format!("protocol {}({params})", protocol.name)));
    }
    for function in &own.functions {
        let kind = match function.kind {
            FunctionKind::Private => continue,
            FunctionKind::Public => "public fn",
            FunctionKind::Action => "action",
            FunctionKind::View => "view",
        };
        let result =
            if function.result == Ty::Unit { String::new() } else { format!(" -> {}", world.show(&function.result)) };
        all.push((
            function.name.clone(),
            format!("{kind} {}({}){result}", function.name, list(&world, &function.params)),
        ));
    }
    all
}

fn list(world: &World, fields: &[(String, Ty)]) -> String {
    fields.iter().map(|(name, ty)| format!("{name}: {}", world.show(ty))).collect::<Vec<_>>().join(", ")
}

/// `Account { bal: Coin }`
fn braces(world: &World, shape: &Shape) -> String {
    match shape.fields.as_slice() {
        [] => shape.name.clone(),
        fields => format!("{} {{ {} }}", shape.name, list(world, fields)),
    }
}
