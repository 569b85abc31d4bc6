#!/bin/sh
# Proves the simulator's checkers: breaks chain-core in known ways, one at a time, in a copy of the last
# commit, and runs seeds until a rule is broken. A mutant that is not found, or a change that does not
# apply, fails the script. Arguments: names of mutants; without any, all.
#
#   SEEDS=10000 THREADS=2 ENOUGH=10 sh tests/mutants/run.sh quorum nonce
#
# A line says how many of how many runs broke a rule, and the first that broke one of those expected.
set -eu

seeds=${SEEDS:-10000}
threads=${THREADS:-2}
enough=${ENOUGH:-10}
root=$(git rev-parse --show-toplevel)
copy=$(mktemp -d)/copy
target=${CARGO_TARGET_DIR:-$HOME/.cache/chain-target}
# The mutant's program must not stay where the real one belongs.
trap 'rm -f "$target/release/sim"; git -C "$root" worktree remove --force "$copy" 2>/dev/null || true' EXIT
git -C "$root" worktree add -q --detach "$copy" HEAD
missed=0

# The simulator needs the core alone: nodes and their interfaces are not built anew for every mutant.
bare() {
    toml=$copy/tests/Cargo.toml
    sed -i '/^chain-node\.\|^chain-rpc\.\|^futures\|^libp2p\|^proptest\|^tokio\|^tempfile\|^\[\[bin\]\]/d' "$toml"
    sed -i '/^name = "delay-proxy"/,/^test = false/d' "$toml"
    sed -i '/^pub mod \(disk\|sim\|wallet\);/!{/^pub mod /d}; /^use std::time/,$d' "$copy/tests/src/lib.rs"
}
bare

# change FILE EXPRESSION: one sed expression that must change the file.
change() {
    sed -i "$2" "$copy/$1"
    if git -C "$copy" diff --quiet -- "$1"; then
        echo "mutant $name: '$2' changes nothing in $1" >&2
        exit 2
    fi
}

# Adds to chain-core a way to learn the set of the height before, for mutants that use it.
old_set() {
    cat >> "$copy/chain-core/src/state/validators.rs" <<'RUST'

#[allow(missing_docs, clippy::missing_errors_doc)]
pub fn old_set(rows: &impl Rows, head: Height) -> Result<ValidatorSet, Fault> {
    let then = |record: &ValidatorRecord| record.signed_at(head.max(Height::ZERO.next()));
    let all = records(rows)?.into_iter().filter(|(_, record)| then(record));
    let members = all.map(|(public_key, record)| Validator { public_key, weight: record.weight }).collect();
    ValidatorSet::new(members).map_err(|e| Fault::new(e.to_string()))
}
RUST
}

# hunt RULES: builds the mutant and expects one of these rules to be broken.
hunt() {
    (cd "$copy" && CARGO_TARGET_DIR=$target cargo build --release -q -p chain-tests --bin sim)
    cp "$target/release/sim" "$copy/sim-$name"
    if found=$("$copy/sim-$name" --seeds "$seeds" --threads "$threads" --enough "$enough" 2>/dev/null); then
        echo "mutant $name: NOT FOUND in $seeds seeds"
        missed=1
    else
        line=$(echo "$found" | grep -E "^seed [0-9]+ at commit [0-9a-f]+: ($1)" | head -n 1 | cut -c1-160)
        runs=$(echo "$found" | head -n 1 | cut -d ' ' -f 1)
        echo "mutant $name: $(echo "$found" | grep -c '^seed ') of $runs seeds: ${line:-found, but not as $1}"
        [ -n "$line" ] || missed=1
    fi
    git -C "$copy" checkout -q -- .
    bare
}

mutant() {
    name=$1
    case $name in
    quorum)
        change chain-core/src/types/validators.rs 's/Self::Byzantine => 3 \* sum > 2 \* total,/Self::Byzantine => 2 * sum >= total,/'
        hunt 'Agreement|Certificates'
        ;;
    fsync)
        change chain-core/src/engine/submit.rs 's/self\.pool_log\.sync()?;//'
        change chain-core/src/engine/mod.rs 's/self\.wal\.sync()?;//'
        hunt 'Acknowledged|NoDoubleSignature|Running'
        ;;
    duplicate-vote)
        change chain-core/src/consensus/tally.rs 's/votes\.values()\.map(/votes.values().chain(votes.values()).map(/'
        change chain-core/src/types/certificate.rs 's/signed\.dedup_by_key(.*;//'
        hunt 'Certificates|Agreement'
        ;;
    unordered-map)
        change chain-core/src/engine/peers.rs 's/use std::collections::BTreeMap;/use std::collections::HashMap as BTreeMap;/'
        hunt 'Determinism'
        ;;
    nonce)
        change chain-core/src/execute.rs 's/tx\.nonce\.checked_add(1)/tx.nonce.checked_add(0)/'
        hunt 'Nonces'
        ;;
    nullification)
        change chain-core/src/consensus/certificates.rs 's/unchecked || (first\.\.end)\.all(.*/true/'
        hunt 'Agreement'
        ;;
    certificate)
        change chain-core/src/consensus/machine.rs 's/if certificate\.verify(.*is_err() {/if false {/'
        hunt 'Agreement|Certificates'
        ;;
    sync-certificate)
        change chain-core/src/engine/commit.rs 's/|| certificate\.verify(.*is_err()/|| false/'
        hunt 'Agreement|Certificates'
        ;;
    sync-body)
        change chain-core/src/engine/commit.rs '/is_err()$/{n;s/|| !is_whole(.*/|| false/}'
        hunt 'Agreement|Validity'
        ;;
    sync-liar)
        change chain-core/src/engine/sync.rs 's/claim\.paused_until_ms = now_ms.*/claim.paused_until_ms = 0;/'
        change chain-core/src/engine/sync.rs 's/^const HEDGE_MS: u64 = .*/const HEDGE_MS: u64 = 1 << 40;/'
        change chain-core/src/engine/sync.rs 's/claim.failures = claim.failures.saturating_add(1).min(MAX_FAILURES);//'
        hunt 'Liveness'
        ;;
    set-early)
        change chain-core/src/tx/authority/block_end.rs 's/block\.height\.get()\.checked_rem(/block.height.next().get().checked_rem(/'
        hunt 'Sets'
        ;;
    set-late)
        old_set
        change chain-core/src/engine/commit.rs 's/set: Arc::new(validators::next_set(&head\.tree)?)/set: Arc::new(validators::old_set(\&head.tree, head.block.header.height)?)/'
        hunt 'Sets|Certificates'
        ;;
    set-certificate)
        old_set
        change chain-core/src/consensus/interface.rs 's/    pub set: Arc<ValidatorSet>,/&\n    #[allow(missing_docs)]\n    pub old: Arc<ValidatorSet>,/'
        change chain-core/src/engine/commit.rs 's/        set: Arc::new(validators::next_set(&head\.tree)?),/&\n        old: Arc::new(validators::old_set(\&head.tree, head.block.header.height)?),/'
        change chain-core/src/consensus/machine.rs 's/if certificate\.verify(&self\.config\.chain, self\.config\.rule, &self\.head\.set)/if certificate.verify(\&self.config.chain, self.config.rule, \&self.head.old)/'
        hunt 'Sets|Certificates|Innocence|Liveness'
        ;;
    set-sync)
        old_set
        change chain-core/src/engine/commit.rs '/let Some(certificate) = certificate else/{n;s/validators::next_set(&self\.chain\.head()\.tree)?/validators::old_set(\&self.chain.head().tree, self.height())?/}'
        hunt 'Certificates|Innocence|Liveness|Running'
        ;;
    set-restart)
        old_set
        change chain-core/src/engine/start.rs 's/Machine::recover(config, consensus_head(&chain)?, words/Machine::recover(config, crate::consensus::Head { set: Arc::new(validators::old_set(\&chain.head().tree, chain.head().block.header.height)?), ..consensus_head(\&chain)? }, words/'
        hunt 'Sets|Certificates|Innocence|Liveness'
        ;;
    set-member)
        change chain-core/src/consensus/rules.rs 's/self\.signer\.public()\.is_some_and(|key| self\.head\.set\.index_of(&key)\.is_some())/self.signer.public().is_some()/'
        hunt 'Sets'
        ;;
    set-budget)
        change chain-core/src/tx/authority/epoch.rs 's/let third = draft\.total() \/ 3;/let third = draft.total();/'
        hunt 'Sets'
        ;;
    set-order)
        change chain-core/src/tx/authority/epoch.rs 's/(0, _) if wanted\.convicted => 0,/(0, _) if wanted.convicted => 4,/'
        change chain-core/src/tx/authority/epoch.rs 's/|w| w\.convicted \&\& w\.weight == 0/|_| false/'
        hunt 'Sets'
        ;;
    plan-remainder)
        change chain-core/src/tx/authority/epoch.rs 's/cut\.sort_by_key(.*Reverse(\*rest));/let _ = Reverse(0);/'
        hunt 'Sets'
        ;;
    set-ready)
        change chain-core/src/state/validators.rs 's/self\.standing == Standing::Admitted && self\.ready/self.standing == Standing::Admitted/'
        hunt 'Sets|Parameters'
        ;;
    evidence-window)
        change chain-core/src/tx/authority/evidence.rs 's/if height < oldest {/if false {/'
        hunt 'Sets'
        ;;
    evidence-seat)
        change chain-core/src/tx/authority/evidence.rs 's/\.filter(|record| record\.signed_at(equivocation\.height))//'
        hunt 'Sets'
        ;;
    evidence-lost)
        change chain-core/src/tx/authority/evidence.rs 's/let standing = if removed {/let standing = if true { record.standing } else if removed {/'
        hunt 'Sets|Absence'
        ;;
    conviction-forgotten)
        change chain-core/src/tx/authority/measure.rs 's/CONVICTED\.get(rows, key)?/None::<Equivocation>/'
        hunt 'Sets'
        ;;
    slash-burn)
        change chain-core/src/state/stakes/slash.rs 's/if !burned\.is_zero() {/if false {/'
        hunt 'Conservation'
        ;;
    slash-share)
        change chain-core/src/state/stakes/slash.rs 's/\.min(own_lost\.bps_floor(HALF_BPS))//'
        hunt 'Stakes'
        ;;
    slash-unbonding)
        change chain-core/src/state/stakes/slash.rs 's/let unbonding = slash_batches(.*/let unbonding = Amount::ZERO;/'
        hunt 'Stakes'
        ;;
    slash-older)
        change chain-core/src/tx/authority/evidence.rs '/an older one may reach/{n;s/.*/        let slash = None::<Slash>;/}'
        hunt 'Sets'
        ;;
    unbond-free)
        change chain-core/src/state/stakes/mod.rs 's/self\.left\.saturating_add(params\.evidence_window_blocks\.into())\.next()/self.left.next()/'
        hunt 'Stakes'
        ;;
    unbond-early)
        change chain-core/src/tx/staking/block_end.rs 's/if weight(&validator) <= record\.target() {/if true {/'
        hunt 'Stakes'
        ;;
    stake-delegations)
        change chain-core/src/state/stakes/mod.rs 's/stake: stake\.bonded\.held, since: record\.since/stake: own_stake(overlay, key, \&stake)?, since: record.since/'
        hunt 'Sets'
        ;;
    stake-cap)
        change chain-core/src/state/stakes/weights.rs 's/if mode == ConsensusMode::Hybrid {/if false {/'
        hunt 'Sets'
        ;;
    stake-council)
        change chain-core/src/tx/authority/council.rs 's/let weight = |key: &PublicKey| if by_stake {/let weight = |key: \&PublicKey| if false {/'
        hunt 'Sets|Parameters'
        ;;
    stake-issuance)
        change chain-core/src/execute.rs 's/money::count_minted(&mut self\.overlay, AssetId::NATIVE, issuance)/Ok(issuance)/'
        hunt 'Conservation'
        ;;
    stake-jail)
        change chain-core/src/tx/staking/bond.rs 's/if let Some(cause) = JAILED_AWAY\.get(context\.state, key)? {/if let Some(cause) = None::<JailCause> {/'
        hunt 'Absence|Sets'
        ;;
    jail-away)
        change chain-core/src/tx/authority/measure.rs 's/ConsensusMode::Pos if stake(rows, key)?\.is_some() => Ok(()),/ConsensusMode::Pos if false => Ok(()),/'
        hunt 'Sets|Absence'
        ;;
    absence-away)
        change chain-core/src/tx/authority/block_end.rs 's/let away = record\.standing == Standing::Removed$/let away = false/'
        hunt 'Absence'
        ;;
    retired-kept)
        change chain-core/src/state/stakes/mod.rs 's/if !record\.spans\.is_empty() || record\.open_proposals > 0 {/if true {/'
        hunt 'Sets'
        ;;
    parameter-bounds)
        change chain-core/src/tx/authority/measure.rs 's/Ok(changed) => check_voted(params, &changed)\.map_err(out_of),/Ok(_) => Ok(()),/'
        hunt 'Sets|Parameters'
        ;;
    parameter-early)
        change chain-core/src/tx/authority/block_end.rs 's/due(&ACTIVATIONS, tree, height\.get(), usize::MAX)/due(\&ACTIVATIONS, tree, height.next().get(), usize::MAX)/'
        hunt 'Parameters'
        ;;
    absence-height)
        change chain-core/src/tx/authority/block_end.rs 's/set\.leader(block\.height, view)/set.leader(block.height.next(), view)/'
        hunt 'Absence'
        ;;
    absence-view)
        change chain-core/src/tx/authority/block_end.rs 's/(0\.\.block\.view\.get()\.min(MAX_COUNTED_VIEWS))/(1..=block.view.get().min(MAX_COUNTED_VIEWS))/'
        hunt 'Absence'
        ;;
    absence-jail)
        change chain-core/src/tx/authority/block_end.rs 's/if admitted \&\& absence == limit {/if admitted \&\& absence > limit {/'
        hunt 'Absence'
        ;;
    upgrade-signs)
        change chain-core/src/engine/commit.rs 's/check_version(&head\.tree, chain\.known_rules())?;//'
        hunt 'Upgrades|Running'
        ;;
    upgrade-decides)
        change chain-core/src/engine/commit.rs 's/check_version(&head\.tree, chain\.known_rules())?;//'
        change chain-core/src/execute.rs 's/check_version(tree, known)?;//'
        hunt 'Upgrades'
        ;;
    light-hop)
        change chain-core/src/light.rs 's/self\.set = next_set(&trusted\.header, next_members)?;/next_set(\&trusted.header, next_members)?;/'
        hunt 'Sets'
        ;;
    *)
        echo "no mutant $name" >&2
        exit 2
        ;;
    esac
}

for name in "${@:-}"; do
    [ -n "$name" ] && mutant "$name"
done
if [ $# -eq 0 ]; then
    for name in quorum fsync duplicate-vote unordered-map nonce nullification certificate \
        sync-certificate sync-body sync-liar \
        set-early set-late set-certificate set-sync set-restart set-member set-budget set-order plan-remainder set-ready \
        evidence-window evidence-seat evidence-lost conviction-forgotten light-hop \
        slash-burn slash-share slash-unbonding slash-older unbond-free unbond-early \
        stake-delegations stake-cap stake-council stake-issuance stake-jail jail-away absence-away retired-kept \
        parameter-bounds parameter-early absence-height absence-view absence-jail \
        upgrade-signs upgrade-decides; do mutant "$name"; done
fi
exit "$missed"
