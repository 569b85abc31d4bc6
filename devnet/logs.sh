#!/bin/sh
# Prints a node's log: devnet/logs.sh 2 -f
# Options: devnet/logs.sh --help; which devnet: --dir DIR or DEVNET_DIR.
set -eu
. "$(dirname "$0")/binary.sh"
exec "$CHAIN_NODE" devnet logs "$@"
