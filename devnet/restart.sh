#!/bin/sh
# Stops a node if it runs and starts it again: devnet/restart.sh 2
# Options: devnet/restart.sh --help; which devnet: --dir DIR or DEVNET_DIR.
set -eu
. "$(dirname "$0")/binary.sh"
exec "$CHAIN_NODE" devnet restart "$@"
