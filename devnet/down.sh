#!/bin/sh
# Stops all nodes, or those that are named: devnet/down.sh 1 2
# Options: devnet/down.sh --help; which devnet: --dir DIR or DEVNET_DIR.
set -eu
. "$(dirname "$0")/binary.sh"
exec "$CHAIN_NODE" devnet down "$@"
