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

# change FILE EXPRESSION: one sed expression that must change the file.
change() {
    sed -i "$2" "$copy/$1"
    if git -C "$copy" diff --quiet -- "$1"; then
        echo "mutant $name: '$2' changes nothing in $1" >&2
        exit 2
    fi
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
        sync-certificate sync-body sync-liar; do mutant "$name"; done
fi
exit "$missed"
