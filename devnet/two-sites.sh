#!/bin/sh
# Four validators at two sites on one machine: nodes 0 and 1 at site a, 2 and 3 at site b. The sites
# are network namespaces with one link between them. Needs root, and `ip` of iproute2.
#
#   devnet/two-sites.sh up [MS]        makes and starts everything; MS: delay between the sites, each way
#   devnet/two-sites.sh status         all nodes in one table, also while the sites are apart
#   devnet/two-sites.sh partition      cuts the link between the sites
#   devnet/two-sites.sh heal           heals it
#   devnet/two-sites.sh kill N         kills a node
#   devnet/two-sites.sh restart N      stops a node if it runs and starts it again
#   devnet/two-sites.sh down           stops everything and takes the sites away; the chain stays
#
# Addresses: 10.77.0.9 (a) and .10 (b) for peers; 10.77.0.2 (a) and .6 (b) for RPC, from this machine.
set -eu
. "$(dirname "$0")/binary.sh"
DIR="${DEVNET_DIR:-.devnet-sites}"
STATE="$DIR.state"
A=chain-site-a
B=chain-site-b

usage() { sed -n 's/^#   //p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "two-sites.sh makes network namespaces: run it as root" >&2; exit 1; }
command -v ip >/dev/null 2>&1 || { echo "two-sites.sh needs ip: install iproute2" >&2; exit 1; }

site() { [ "$1" -lt 2 ] && echo "$A" || echo "$B"; }

# namespace, address on the line, own address, address of this machine
make_site() {
    ip -n "$1" link set lo up
    ip -n "$1" addr add "10.77.0.$2/30" dev line
    ip -n "$1" link set line up
    ip link add "$1" type veth peer name rpc netns "$1"
    ip addr add "10.77.0.$4/30" dev "$1"
    ip link set "$1" up
    ip -n "$1" addr add "10.77.0.$3/30" dev rpc
    ip -n "$1" link set rpc up
}

# The first site is there already.
make_sites() {
    ip netns add "$B"
    ip link add line netns "$A" type veth peer name line netns "$B"
    make_site "$A" 9 2 1
    make_site "$B" 10 6 5
}

# namespace, address of the other site, the other site's ports
start_proxy() {
    namespace="$1"; other="$2"; shift 2
    lines=""
    for port in "$@"; do lines="$lines 127.0.0.1:$((port + 10000)) $other:$port"; done
    ip netns exec "$namespace" "$BINARIES/delay-proxy" "$(cat "$STATE/delay")" $lines >"$STATE/$namespace.log" 2>&1 &
    echo $! >"$STATE/$namespace.pid"
}

# The peers of a node when lines between the sites go through the proxies.
peers() {
    case "$1" in
        0) echo "/ip4/10.77.0.9/tcp/8025,/ip4/127.0.0.1/tcp/18045,/ip4/127.0.0.1/tcp/18065" ;;
        1) echo "/ip4/10.77.0.9/tcp/8005,/ip4/127.0.0.1/tcp/18045,/ip4/127.0.0.1/tcp/18065" ;;
        2) echo "/ip4/10.77.0.10/tcp/8065,/ip4/127.0.0.1/tcp/18005,/ip4/127.0.0.1/tcp/18025" ;;
        3) echo "/ip4/10.77.0.10/tcp/8045,/ip4/127.0.0.1/tcp/18005,/ip4/127.0.0.1/tcp/18025" ;;
    esac
}

# A node alone can't be ready: nobody waits for it here.
start_node() {
    [ ! -f "$STATE/delay" ] || export P2P_PEERS="$(peers "$1")"
    ip netns exec "$(site "$1")" "$CHAIN_NODE" devnet up "$1" --no-wait --dir "$DIR" >/dev/null
    unset P2P_PEERS
}

down() {
    [ ! -f "$DIR/genesis.json" ] || "$CHAIN_NODE" devnet down --dir "$DIR"
    # Without it the sites, if there are any, are another devnet's.
    [ -d "$STATE" ] || return 0
    for namespace in "$A" "$B"; do
        if [ -f "$STATE/$namespace.pid" ] && grep -aq delay-proxy "/proc/$(cat "$STATE/$namespace.pid")/cmdline" 2>/dev/null; then
            kill "$(cat "$STATE/$namespace.pid")"
        fi
        ip netns del "$namespace" 2>/dev/null || true
    done
    rm -rf "$STATE"
}

up() {
    [ ! -d "$STATE" ] || { echo "the sites are there already; take them away first: $0 down" >&2; exit 1; }
    [ -f "$DIR/genesis.json" ] || "$CHAIN_NODE" devnet init --validators 4 --dir "$DIR" \
        --rpc-host 10.77.0.2,10.77.0.2,10.77.0.6,10.77.0.6 --p2p-host 10.77.0.9,10.77.0.9,10.77.0.10,10.77.0.10 >/dev/null
    ip netns add "$A" || { echo "another devnet has its sites on this machine: take them away first" >&2; exit 1; }
    mkdir "$STATE"
    # From here on what there is is ours; half made is taken away again.
    trap 'down' EXIT
    make_sites
    if [ "${1:-0}" != 0 ]; then
        echo "$1" >"$STATE/delay"
        start_proxy "$A" 10.77.0.10 8045 8065
        start_proxy "$B" 10.77.0.9 8005 8025
    fi
    for node in 0 1 2 3; do start_node "$node"; done
    trap - EXIT
    "$CHAIN_NODE" devnet up --dir "$DIR"
}

case "${1:-}" in
    up) up "${2:-0}" ;;
    down) down ;;
    status) "$CHAIN_NODE" devnet status --dir "$DIR" ;;
    partition) ip -n "$A" link set line down ;;
    heal) ip -n "$A" link set line up ;;
    kill) "$CHAIN_NODE" devnet kill "${2:?which node}" --dir "$DIR" ;;
    restart)
        "$CHAIN_NODE" devnet down "${2:?which node}" --dir "$DIR"
        start_node "$2"
        ;;
    *) usage ;;
esac
