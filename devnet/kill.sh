#!/bin/sh
# Kills a node at once: devnet/kill.sh 2
# Options: devnet/kill.sh --help; which devnet: --dir DIR or DEVNET_DIR.
set -eu
. "$(dirname "$0")/binary.sh"
exec "$CHAIN_NODE" devnet kill "$@"
