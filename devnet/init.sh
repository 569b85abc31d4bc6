#!/bin/sh
# Makes a devnet's directory: devnet/init.sh --validators 4 --candidates 3 --followers 1
# Options: devnet/init.sh --help; which devnet: --dir DIR or DEVNET_DIR.
set -eu
. "$(dirname "$0")/binary.sh"
exec "$CHAIN_NODE" devnet init "$@"
