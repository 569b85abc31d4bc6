# Read by the other scripts: where the binaries are that `make build` built.
BINARIES="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/chain-target}/release"
CHAIN_NODE="$BINARIES/chain-node"
[ -x "$CHAIN_NODE" ] || { echo "$CHAIN_NODE is missing. Run: make build" >&2; exit 1; }
