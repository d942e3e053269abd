//! Small changes to modules.

use hopper::ir::{Module, Op};
use wire::{Decode, Encode};

use super::random::Dice;

/// Changes a few bytes of a value's encoding until it is another value, or gives up.
fn nudge<T: Encode + Decode + PartialEq>(dice: &mut Dice, value: &T) -> Option<T> {
    let bytes = value.to_bytes();
    if bytes.is_empty() {
        return None;
    }
    for _ in 0..8 {
        let mut changed = bytes.clone();
        let at = dice.below(changed.len());
        changed[at] = match dice.below(4) {
            0 => changed[at].wrapping_add(1),
            1 => changed[at].wrapping_sub(1),
            2 => dice.below(8) as u8,
            _ => changed[at] ^ (1 << dice.below(8)),
        };
        if let Ok(other) = T::from_bytes(&changed)
            && other != *value
        {
            return Some(other);
        }
    }
    None
}

/// Changes one thing about a module: an operation, the order of operations, how a block ends, a signature, a declaration, a constant.
/// Gives the same module now and then, if there was nothing to change.
pub fn mutate(dice: &mut Dice, module: &Module) -> Module {
    let mut module = module.clone();
    if module.functions.is_empty() {
        return module;
    }
    match dice.below(20) {
        0 => {
            let n = dice.below(module.functions.len());
            let function = &mut module.functions[n];
            match dice.below(7) {
                0 => function.requires.clear(),
                1 => function.ensures.clear(),
                2 => function.authority.clear(),
                3 => function.mints = vec![dice.below(3) as u16],
                4 => function.burns = vec![dice.below(3) as u16],
                5 => function.by.truncate(1),
                _ => function.moves.truncate(1),
            }
        }
        1 => {
            let n = dice.below(module.functions.len());
            let mut bare = module.functions[n].clone();
            let blocks = std::mem::take(&mut bare.blocks);
            if let Some(mut other) = nudge(dice, &bare) {
                other.blocks = blocks;
                module.functions[n] = other;
            }
        }
        2 => declaration(dice, &mut module),
        3 if !module.constants.is_empty() => {
            let n = dice.below(module.constants.len());
            let mut constant = module.constants[n].clone();
            if !constant.bytes.is_empty() {
                let at = dice.below(constant.bytes.len());
                constant.bytes[at] = dice.roll() as u8;
                module.constants[n] = constant;
                module.constants.sort();
                module.constants.dedup();
            }
        }
        4 => {
            let n = dice.below(module.functions.len());
            let blocks = &mut module.functions[n].blocks;
            if !blocks.is_empty() {
                let b = dice.below(blocks.len());
                if let Some(end) = nudge(dice, &blocks[b].end) {
                    blocks[b].end = end;
                }
            }
        }
        _ => operations(dice, &mut module),
    }
    module
}

fn declaration(dice: &mut Dice, module: &mut Module) {
    fn one<T: Encode + Decode + PartialEq>(dice: &mut Dice, list: &mut [T]) {
        if !list.is_empty() {
            let n = dice.below(list.len());
            if let Some(other) = nudge(dice, &list[n]) {
                list[n] = other;
            }
        }
    }
    match dice.below(6) {
        0 => one(dice, &mut module.types),
        1 => one(dice, &mut module.records),
        2 => one(dice, &mut module.enums),
        3 => one(dice, &mut module.assets),
        4 => one(dice, &mut module.tables),
        _ => one(dice, &mut module.protocols),
    }
}

fn operations(dice: &mut Dice, module: &mut Module) {
    let n = dice.below(module.functions.len());
    let blocks = module.functions[n].blocks.len();
    if blocks == 0 {
        return;
    }
    let b = dice.below(blocks);
    let donor = dice.below(module.functions.len());
    let foreign: Option<Op> = {
        let all: Vec<&Op> = module.functions[donor].blocks.iter().flat_map(|b| &b.ops).collect();
        if all.is_empty() { None } else { Some((*dice.pick(&all)).clone()) }
    };
    let ops = &mut module.functions[n].blocks[b].ops;
    if ops.is_empty() {
        return;
    }
    let at = dice.below(ops.len());
    match dice.below(17) {
        12 | 13 => {
            // The same operand twice.
            if let Op::Concat { a, b, .. } | Op::Arith { a, b, .. } | Op::Compare { a, b, .. } | Op::Join { a, b } =
                &mut ops[at]
            {
                if dice.one_in(2) {
                    *a = *b;
                } else {
                    *b = *a;
                }
            }
        }
        8 => {
            // Into another block of the same function, once more or instead.
            let op = if dice.one_in(2) { ops.remove(at) } else { ops[at].clone() };
            let to = dice.below(blocks);
            let ops = &mut module.functions[n].blocks[to].ops;
            ops.insert(dice.below(ops.len() + 1), op);
        }
        9 | 14..=16 => {
            let last = ops[at].operands().last().copied();
            let var = last.filter(|_| !dice.one_in(4)).unwrap_or(dice.below(12) as u16);
            let op = match dice.below(6) {
                0 | 5 => Op::Burn { a: var },
                1 => Op::Unpack { a: var },
                2 => Op::DropZero { a: var },
                3 => Op::DropEmpty { a: var },
                _ => Op::Close { hole: var },
            };
            let replace = dice.one_in(2);
            if replace {
                ops[at] = op;
            } else {
                ops.insert(at, op);
            }
        }
        10 | 11 => {
            // Another argument for a call.
            let calls: Vec<&mut Vec<u16>> = ops
                .iter_mut()
                .filter_map(|op| if let Op::Call { args, .. } = op { Some(args) } else { None })
                .collect();
            let count = calls.len();
            if let Some(args) = calls.into_iter().nth(dice.below(count.max(1)))
                && !args.is_empty()
            {
                let which = if dice.one_in(2) { 0 } else { dice.below(args.len()) };
                args[which] = dice.below(16) as u16;
            }
        }
        0 => {
            ops.remove(at);
        }
        1 => {
            let copy = ops[at].clone();
            ops.insert(at, copy);
        }
        2 => {
            let to = dice.below(ops.len());
            ops.swap(at, to);
        }
        3 => {
            if let Some(op) = foreign {
                ops.insert(at, op);
            }
        }
        4 => {
            if let Some(op) = foreign {
                ops[at] = op;
            }
        }
        _ => {
            if let Some(other) = nudge(dice, &ops[at]) {
                ops[at] = other;
            }
        }
    }
}
