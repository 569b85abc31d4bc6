//! What a genesis allows but an operator should know before starting a chain from it.
//!
//! Not here: what is refused (`compile`).

use chain_core::genesis::{ConsensusMode, Genesis};
use chain_core::types::{AssetId, QuorumRule};

/// Notes for people, in no language a program should read.
pub fn notes(genesis: &Genesis) -> Vec<String> {
    let mut notes = Vec::new();
    let members = genesis.validators.len();
    let spare = stoppable(genesis);
    match (genesis.quorum_rule, members, spare) {
        (_, 0 | 1, _) => notes.push("one validator: when it stops, the chain stops; 4 survive one fault".into()),
        (QuorumRule::Byzantine, 3, 0) => notes.push(
            "3 validators under the byzantine rule: every block needs all 3, one that stops stops the chain; 4 survive one fault".into(),
        ),
        (_, _, 0) => notes.push(format!(
            "{members} validators under the {} rule: one that stops can stop the chain; 4 of equal weight survive one fault",
            rule_name(genesis.quorum_rule)
        )),
        _ => {}
    }
    if genesis.quorum_rule == QuorumRule::Crash {
        notes.push(format!(
            "crash rule: survives {spare} stopped validators, but not one that equivocates, whose key is cloned or whose log is lost or restored"
        ));
    }
    if genesis.mode == ConsensusMode::Poa && genesis.validators.iter().any(|v| v.weight != 1) {
        notes.push("authorities have one vote each in poa, but not every weight is 1".into());
    }
    if !genesis.balances.iter().any(|balance| balance.asset == AssetId::NATIVE) {
        notes.push("nobody owns the asset that fees are paid in: no transaction can be paid for".into());
    }
    notes
}

/// How many validators, whichever they are, may stop while the rest still decides.
fn stoppable(genesis: &Genesis) -> usize {
    let mut weights: Vec<u64> = genesis.validators.iter().map(|v| v.weight).collect();
    weights.sort_unstable_by(|a, b| b.cmp(a));
    let total = weights.iter().fold(0u64, |sum, weight| sum.saturating_add(*weight));
    let mut left = total;
    let still_decides = |weight: &&u64| {
        left = left.saturating_sub(**weight);
        genesis.quorum_rule.is_quorum(left, total)
    };
    weights.iter().take_while(still_decides).count()
}

fn rule_name(rule: QuorumRule) -> &'static str {
    match rule {
        QuorumRule::Byzantine => "byzantine",
        QuorumRule::Crash => "crash",
    }
}
