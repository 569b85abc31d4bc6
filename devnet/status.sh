#!/bin/sh
# Shows every node in one table; --json for programs.
# Options: devnet/status.sh --help; which devnet: --dir DIR or DEVNET_DIR.
set -eu
. "$(dirname "$0")/binary.sh"
exec "$CHAIN_NODE" devnet status "$@"
