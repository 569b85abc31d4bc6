#!/bin/sh
# Starts the nodes that don't run, in the background, and shows them when they are ready.
# Options: devnet/up.sh --help; which devnet: --dir DIR or DEVNET_DIR.
set -eu
. "$(dirname "$0")/binary.sh"
exec "$CHAIN_NODE" devnet up "$@"
