#!/usr/bin/env python3
"""A small independent client, written from docs/wire.md and docs/rpc.md alone.

    pip install cryptography blake3 websockets
    python client.py RPC_URL ACCOUNTS_JSON [CHAIN_ID] [--restart COMMAND]

It makes a key, builds and signs a transfer by itself and sends it, sees it final, verifies outcome
and balance against the chain id, verifies block 0 against the genesis, reads documented errors and
follows the new blocks. ACCOUNTS_JSON is a devnet's accounts.json. Without CHAIN_ID the one the node
says is pinned: good for a devnet only. With --restart it runs COMMAND, which restarts the node on
the same data, and checks that the blocks it was told have no gap.

Not here: multi-key accounts, other actions than transfer, retries.
"""

import argparse
import asyncio
import json
import os
import struct
import subprocess
import urllib.error
import urllib.request

import blake3
import websockets
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ZERO = bytes(32)


class Refused(Exception):
    """What the node said does not verify."""


def need(condition, why):
    if not condition:
        raise Refused(why)


# Bytes (section 1)

def u8(n): return struct.pack("<B", n)
def u16(n): return struct.pack("<H", n)
def u32(n): return struct.pack("<I", n)
def u64(n): return struct.pack("<Q", n)
def u128(n): return n.to_bytes(16, "little")
def text(s): return u32(len(s.encode())) + s.encode()
def option(b): return b"\0" if b is None else b"\1" + b
def listing(items): return u32(len(items)) + b"".join(items)
def unhex(s): return bytes.fromhex(s.removeprefix("0x"))


class Reader:
    """Takes values off the front of bytes."""

    def __init__(self, data): self.data = data
    def take(self, n):
        need(len(self.data) >= n, "bytes end too early")
        head, self.data = self.data[:n], self.data[n:]
        return head
    def number(self, size): return int.from_bytes(self.take(size), "little")
    def text(self): return self.take(self.number(4)).decode()
    def option(self, read): return {0: lambda: None, 1: read}[self.number(1)]()
    def listing(self, read): return [read() for _ in range(self.number(4))]
    def end(self): need(not self.data, "bytes left over")


# Hashes (section 2)

def frame(ns, chain, body): return u8(len(ns)) + ns.encode() + chain + body
def hash_of(ns, chain, body): return blake3.blake3(frame(ns, chain, body)).digest()
def keyed(ns, chain, data): return blake3.blake3(data, key=hash_of(ns, chain, b"")).digest()


# Addresses (section 3)

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
HUMAN = "ait"


def polymod(values):
    check = 1
    for value in values:
        top, check = check >> 25, (check & 0x1ffffff) << 5 ^ value
        for bit, generator in enumerate((0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3)):
            check ^= generator if top >> bit & 1 else 0
    return check


EXPANDED = [ord(c) >> 5 for c in HUMAN] + [0] + [ord(c) & 31 for c in HUMAN]


def address_text(raw):
    number = int.from_bytes(raw, "big") << 4  # 256 bits and 4 of padding: 52 groups of 5
    groups = [number >> 5 * i & 31 for i in reversed(range(52))]
    check = polymod(EXPANDED + groups + [0] * 6) ^ 0x2bc830a3
    return HUMAN + "1" + "".join(LETTERS[g] for g in groups + [check >> 5 * i & 31 for i in reversed(range(6))])


def address_bytes(spelled):
    need(spelled.startswith(HUMAN + "1") and len(spelled) == 62, "not an address")
    groups = [LETTERS.index(c) for c in spelled[4:]]
    need(polymod(EXPANDED + groups) == 0x2bc830a3, "address checksum")
    number = 0
    for group in groups[:52]:
        number = number << 5 | group
    need(number & 15 == 0, "address padding")
    return (number >> 4).to_bytes(32, "big")


# Keys: the library checks without the cofactor, the safe side for a client (section 3)

class Key:
    def __init__(self, seed):
        self.secret = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.secret.public_key().public_bytes_raw()
        self.address = address_text(self.public)


def signature_holds(public, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


# Genesis (section 4)

PARAMS = [("block_time_ms", 4), ("empty_block_interval_ms", 4), ("max_block_bytes", 4), ("max_block_weight", 8),
          ("max_block_txs", 4), ("min_fee_per_1000_weight", 16), ("burn_bps", 2), ("account_fee", 16), ("asset_fee", 16),
          ("epoch_blocks", 4), ("proposal_ttl_s", 4), ("delay_blocks", 4), ("retention_s", 4),
          ("evidence_window_blocks", 4), ("absence_jail_turns", 4)]


def read_genesis(raw, chain):
    need(hash_of("ait/genesis/1", ZERO, raw) == chain, "genesis is not the pinned chain's")
    r = Reader(raw)
    need(r.number(1) == 2, "genesis version")
    genesis = {"name": r.text(), "time": r.number(8), "salt": r.take(32), "rule": r.number(1), "mode": r.number(1)}
    genesis["params"] = {name: r.number(size) for name, size in PARAMS}
    genesis["assets"] = r.listing(lambda: (r.text(), r.number(16), r.number(16), r.option(lambda: r.take(32))))
    genesis["stake_asset"] = r.number(4)
    genesis["roles"] = [r.option(lambda: r.take(32)) for _ in range(3)]
    genesis["validators"] = r.listing(lambda: (r.take(32), r.number(8)))
    genesis["balances"] = r.listing(lambda: (r.take(32), r.number(4), r.number(16)))
    r.end()
    return genesis


def validators_bytes(validators): return listing([key + u64(weight) for key, weight in validators])


# Lists (section 9) and the state (section 12): both are dense binary trees

def depth(count): return (count - 1).bit_length() if count else 0


def walk(chain, kind, leaf, index, proof, root):
    count, siblings = proof["leaf_count"], [unhex(s) for s in proof["siblings"]]
    need(0 <= index < count and len(siblings) == depth(count), "proof of the wrong shape")
    for sibling in siblings:
        leaf = keyed(f"ait/{kind}-node/1", chain, leaf + sibling if index % 2 == 0 else sibling + leaf)
        index //= 2
    need(keyed(f"ait/{kind}-root/1", chain, leaf + u64(count) + bytes(24)) == root, "proof leads to another root")


def tree_root(chain, kind, leaves):
    level, empty = leaves, bytes(32)
    while len(level) > 1:
        level = [keyed(f"ait/{kind}-node/1", chain, level[i] + (level[i + 1] if i + 1 < len(level) else empty))
                 for i in range(0, len(level), 2)]
        empty = keyed(f"ait/{kind}-node/1", chain, empty + empty)
    top = level[0] if level else bytes(32)
    return keyed(f"ait/{kind}-root/1", chain, top + u64(len(leaves)) + bytes(24))


def list_root(chain, hashes):
    return tree_root(chain, "merkle", [keyed("ait/merkle-leaf/1", chain, h + bytes(32)) for h in hashes])


def padded(key): return bytes(48) if key is None else key + bytes(47 - len(key)) + u8(len(key))
def value_digest(chain, value): return keyed("ait/state-value/1", chain, value)


def state_leaf(chain, key, following, digest):
    return keyed("ait/state-leaf/1", chain, padded(key) + padded(following) + digest)


def verify_row(chain, root, wanted, proof):
    """The row's value, or None: proven to be absent."""
    key = None if proof["key"] is None else unhex(proof["key"])
    following = None if proof["next"] is None else unhex(proof["next"])
    need(all(k is None or 1 <= len(k) <= 47 and k[0] for k in (key, following)), "not a row key")
    content = proof["content"]
    if key == wanted:
        value = unhex(content["value"])
        digest = value_digest(chain, value)
    else:
        need((key is None or key < wanted) and (following is None or wanted < following), "proof of another key")
        value, digest = None, unhex(content["digest"])
    walk(chain, "state", state_leaf(chain, key, following, digest), proof["slot"], proof, root)
    return value


# Headers and certificates (sections 10 and 11)

def header_bytes(h):
    return (u8(h["version"]) + unhex(h["chain_id"]) + u64(int(h["height"])) + u32(h["view"]) + unhex(h["parent"])
            + u64(int(h["timestamp_ms"])) + unhex(h["proposer"]) + unhex(h["tx_root"]) + unhex(h["outcome_root"])
            + unhex(h["state_root"]) + unhex(h["validators_hash"]) + unhex(h["next_validators_hash"]))


def validators_in_charge(node, chain, genesis, height):
    """The set that signs a height, followed from the genesis by the headers that hand over (section 13)."""
    validators, start, below = genesis["validators"], 0, -1
    while start is not None:
        page = node.get(f"/rpc/set_changes?from={start}")
        for change in page["changes"]:
            header = change["header"]
            need(int(header["height"]) > below, "changes of the set in another order")
            below = int(header["height"])
            if below >= height:
                return validators
            verify_final(chain, genesis, validators, header, change["certificate"])
            members = [(unhex(one["public_key"]), int(one["weight"])) for one in change["members"]]
            set_hash = hash_of("ait/validators/1", chain, validators_bytes(members))
            need(unhex(header["next_validators_hash"]) == set_hash, "other members than the header hands over to")
            validators = members
        start = int(page["next"]) if "next" in page else None
    return validators


def verify_newest(node, chain, genesis, header, certificate):
    """The block id of a header that the validators in charge finalized."""
    validators = validators_in_charge(node, chain, genesis, int(header["height"]))
    return verify_final(chain, genesis, validators, header, certificate)


def verify_final(chain, genesis, validators, header, certificate):
    """The block id of a header that a quorum of these validators finalized."""
    need(header["version"] == 1 and unhex(header["chain_id"]) == chain, "header of another chain")
    set_hash = hash_of("ait/validators/1", chain, validators_bytes(validators))
    need(unhex(header["validators_hash"]) == set_hash, "signed by another validator set")
    block = hash_of("ait/block/1", chain, header_bytes(header))
    said = certificate["message"]
    need(said["kind"] == "finalize" and said["height"] == header["height"], "certificate of something else")
    need(unhex(said["block"]) == block, "certificate of another block")
    need(certificate["rule"] == {1: "byzantine", 2: "crash"}[genesis["rule"]], "another quorum rule")
    bitmap, n = unhex(certificate["signers"]), len(validators)
    need(len(bitmap) == (n + 7) // 8 and int.from_bytes(bitmap, "little") >> n == 0, "bitmap")
    places = [i for i in range(n) if bitmap[i // 8] >> i % 8 & 1]
    signatures = [unhex(s) for s in certificate["signatures"]]
    need(len(signatures) == len(places), "not one signature per signer")
    weight, total = sum(validators[i][1] for i in places), sum(w for _, w in validators)
    need(3 * weight > 2 * total if genesis["rule"] == 1 else 2 * weight > total, "no quorum")
    message = frame("ait/finalize/1", chain, u64(int(header["height"])) + u32(said["view"]) + block)
    for place, signature in zip(places, signatures):
        need(signature_holds(validators[place][0], message, signature), "signature of a validator")
    return block


def genesis_rows(genesis):
    """The rows of block 0 (sections 10 and 12)."""
    params = genesis["params"]
    rows = {b"\5": b"".join(params[name].to_bytes(size, "little") for name, size in PARAMS),
            b"\6": validators_bytes(genesis["validators"]),
            b"\7": u32(len(genesis["assets"])),
            b"\t": listing([key for key, _ in genesis["validators"]]),
            b"\n": u32(1) + u8(genesis["rule"])}
    if any(genesis["roles"]):
        rows[b"\x0b"] = b"".join(option(account) for account in genesis["roles"])
    for key, weight in genesis["validators"]:
        in_set = listing([u64(1) + u8(0)])
        rows[b"\b" + key] = (text("") + u64(weight) + u8(1) + u8(1) + u64(0) + u8(0) + in_set + u64(0) + u32(0)
                             + u8(0))
    for number, (symbol, units, most, minter) in enumerate(genesis["assets"]):
        minted = sum(amount for _, asset, amount in genesis["balances"] if asset == number)
        rows[b"\3" + struct.pack(">I", number)] = (text(symbol) + u128(units) + u128(most) + option(minter)
                                                   + u128(minted) + u128(0))
        rows[b"\4" + symbol.encode()] = u32(number)
    for address, asset, amount in genesis["balances"]:
        if asset == 0:
            rows[b"\1" + address] = u64(0) + u128(amount) + u8(0) + u8(0)
        else:
            rows[b"\2" + address + struct.pack(">I", asset)] = u128(amount)
    return {key: u8(1) + value for key, value in rows.items()}


def block_zero(chain, genesis):
    """The id of block 0, computed from the genesis."""
    rows = sorted(genesis_rows(genesis).items())
    leaves = [(None, b"")] + rows
    following = [key for key, _ in rows] + [None]
    state_root = tree_root(chain, "state", [state_leaf(chain, key, after, value_digest(chain, value))
                                            for (key, value), after in zip(leaves, following)])
    none = list_root(chain, [])
    validators = hash_of("ait/validators/1", chain, validators_bytes(genesis["validators"]))
    header = (u8(1) + chain + u64(0) + u32(0) + ZERO + u64(genesis["time"]) + ZERO + none + none + state_root
              + validators + validators)
    return hash_of("ait/block/1", chain, header)


# Transactions (sections 5 to 7)

def transfer(chain, params, key, nonce, to, amount, memo="", asset=0, fee=None, valid_until=0):
    """Complete signed bytes, and the transaction's id."""
    action = u8(1) + u8(1) + to + u32(asset) + u128(amount) + text(memo)

    def unsigned(fee):
        return (u8(1) + chain[:4] + key.public + u64(nonce) + option(None) + u128(fee) + u64(valid_until)
                + listing([action]))

    def signed(fee, signature): return unsigned(fee) + u8(1) + key.public + signature + option(None)

    weight = 100 + len(signed(0, bytes(64))) + 1000 + 200
    least = -(-weight * int(params["min_fee_per_1000_weight"]) // 1000)
    fee = least if fee is None else fee
    message = frame("ait/tx/1", chain, unsigned(fee))
    return signed(fee, key.secret.sign(message)), blake3.blake3(message).digest()


# The node (section 14 and rpc.md)

class NodeError(Exception):
    def __init__(self, status, error):
        self.status, self.code, self.reason = status, error["code"], error.get("data", {}).get("reason")
        super().__init__(f"{status} {self.code} {self.reason}: {error['message']}")


class Node:
    def __init__(self, url): self.url = url.rstrip("/")

    def raw(self, path, body=None, headers=None):
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.read()
        except urllib.error.HTTPError as failed:
            raise NodeError(failed.code, json.loads(failed.read())["error"]) from None

    def get(self, path): return json.loads(self.raw(path))

    def post(self, path, params):
        return json.loads(self.raw(path, json.dumps(params).encode(), {"Content-Type": "application/json"}))

    def call(self, method, params=None):
        answer = self.post("/", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}})
        if "error" in answer:
            raise NodeError(200, answer["error"])
        return answer["result"]

    def send(self, signed): return self.post("/rpc/send_tx", {"signed_tx": "0x" + signed.hex()})

    def socket(self, path): return websockets.connect(self.url.replace("http", "ws", 1) + path)


def verified_balance(node, chain, genesis, address, asset=0):
    """The balance and its height, believing nothing but the chain id (section 13)."""
    answer = node.get(f"/rpc/proof?address={address}&asset={asset}")
    header = answer["header"]
    verify_newest(node, chain, genesis, header, answer["certificate"])
    raw = address_bytes(address)
    key = b"\1" + raw if asset == 0 else b"\2" + raw + struct.pack(">I", asset)
    value = verify_row(chain, unhex(header["state_root"]), key, answer["proof"])
    if value is None:
        return 0, int(header["height"])
    r = Reader(value)
    need(r.number(1) == 1, "version of a row")
    if asset == 0:
        r.number(8)
    return r.number(16), int(header["height"])


def verified_outcome(node, chain, genesis, signed, tx_id):
    answer = node.get(f"/rpc/proof?tx_id=0x{tx_id.hex()}")
    verify_newest(node, chain, genesis, answer["header"], answer["certificate"])
    outcome, verdict = answer["outcome"], answer["outcome"]["verdict"]
    need(unhex(outcome["wire_id"]) == hash_of("ait/wire/1", chain, signed), "outcome of other bytes")
    how = u8(0) if verdict == "ok" else u8(1) + u16(verdict["rejected"]["number"]) + u8(verdict["rejected"]["action"])
    raw = unhex(outcome["wire_id"]) + how + u128(int(outcome["fee"])) + unhex(outcome["events_hash"])
    leaf = keyed("ait/merkle-leaf/1", chain, hash_of("ait/outcome/1", chain, raw) + bytes(32))
    walk(chain, "merkle", leaf, answer["index"], answer["proof"], unhex(answer["header"]["outcome_root"]))
    return verdict


async def until_final(node, tx_id):
    async with node.socket(f"/ws/watch_tx?tx_id=0x{tx_id.hex()}") as socket:
        async for frame_text in socket:
            told = json.loads(frame_text)
            print("   ", told["status"], told.get("height", ""))
            if told["status"] in ("final", "dropped"):
                return told
    raise Refused("the socket ended before the transaction did")


def expect(reason, code, do):
    try:
        do()
    except NodeError as error:
        need((error.reason, error.code) == (reason, code), f"expected {reason} {code}, got {error}")
        print("   ", error)
        return
    raise Refused(f"{reason} was not refused")


def documented_errors(node, chain, params, funded, nonce):
    to = Key(os.urandom(32)).public
    make = lambda **other: transfer(chain, params, funded, **{"nonce": nonce, "to": to, "amount": 5, **other})[0]
    good = make()
    expect("malformed", 1001, lambda: node.send(good + b"\0"))
    expect("unknown_version", 1003, lambda: node.send(b"\2" + good[1:]))
    expect("wrong_chain", 1004, lambda: node.send(transfer(bytes(32), params, funded, nonce, to, 5)[0]))
    expect("bad_signature", 1010, lambda: node.send(good[:-2] + bytes([good[-2] ^ 1]) + good[-1:]))
    expect("amount_out_of_range", 1012, lambda: node.send(make(amount=0)))
    expect("nonce_too_low", 1021, lambda: node.send(make(nonce=0)))
    expect("nonce_too_high", 1022, lambda: node.send(make(nonce=nonce + 1000)))
    expect("fee_too_low", 1023, lambda: node.send(make(fee=1)))
    expect("fee_unpayable", 1024, lambda: node.send(make(fee=10**29)))
    expect("expires_too_soon", 1026, lambda: node.send(
        make(valid_until=int(node.get("/rpc/head")["height"]) + 5)))
    expect("invalid_params", -32602, lambda: node.get("/rpc/balance/ait1qqqq"))
    expect("not_found", 1, lambda: node.get("/rpc/block/999999999"))
    expect("method_not_found", -32601, lambda: node.call("no_such_method"))
    expect("invalid_params", -32602, lambda: node.call("get_balance", {"who": "me"}))


def send_many(node, signed):
    """The binary form: lengths and bytes."""
    body = b"".join(u32(len(one)) + one for one in signed)
    return json.loads(node.raw("/rpc/send_txs", body, {"Content-Type": "application/octet-stream"}))


async def follow_blocks(node, first, count, restart):
    """`count` blocks without a gap; after half of them the node is restarted, if asked for."""
    heights, parent, wanted = [], None, first
    restart_at = count // 2 if restart else None
    for _ in range(600):
        try:
            async with node.socket(f"/ws/new_blocks?from_height={wanted}") as socket:
                async for frame_text in socket:
                    block = json.loads(frame_text)
                    need(int(block["height"]) == wanted, f"expected height {wanted}, got {block['height']}")
                    need(parent in (None, block["parent"]), "a block does not follow its parent")
                    parent, wanted = block["hash"], wanted + 1
                    heights.append(wanted - 1)
                    if len(heights) == count:
                        return heights
                    if len(heights) == restart_at:
                        restart_at = None
                        await asyncio.to_thread(subprocess.run, restart, shell=True, check=True)
        except (OSError, websockets.exceptions.WebSocketException):
            pass  # the node is away; ask again from where we were
        await asyncio.sleep(0.2)
    raise Refused("the node did not come back")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rpc")
    parser.add_argument("accounts")
    parser.add_argument("chain_id", nargs="?")
    parser.add_argument("--restart")
    asked = parser.parse_args()
    node = Node(asked.rpc)

    chain = unhex(asked.chain_id or node.get("/rpc/info")["chain_id"])
    genesis = read_genesis(node.raw("/rpc/genesis", headers={"Accept": "application/octet-stream"}), chain)
    print("chain", chain.hex(), "verified against its genesis:", genesis["name"])
    need(unhex(node.get("/rpc/header/0")["hash"]) == block_zero(chain, genesis), "block 0 is not the genesis'")
    print("block 0 follows from the genesis")

    with open(asked.accounts) as file:
        funded = Key(bytes.fromhex(json.load(file)[0]["secret_key"]))
    params = node.get("/rpc/params")["params"]
    mine = Key(os.urandom(32))
    need(address_bytes(mine.address) == mine.public, "addresses")
    print("a new key:", mine.address)
    need(verified_balance(node, chain, genesis, mine.address)[0] == 0, "a new key owns something")

    nonce = int(node.get(f"/rpc/account/{funded.address}")["next_nonce"])
    signed, tx_id = transfer(chain, params, funded, nonce, mine.public, 18_000, memo="from Python")
    answer = node.send(signed)
    need(unhex(answer["tx_id"]) == tx_id, "the node names the transaction otherwise")
    need(unhex(answer["wire_id"]) == hash_of("ait/wire/1", chain, signed), "the node names the bytes otherwise")
    need(node.send(signed)["tx_id"] == answer["tx_id"], "the same bytes twice")
    print("sent", answer["tx_id"])
    await until_final(node, tx_id)
    need(verified_outcome(node, chain, genesis, signed, tx_id) == "ok", "the transfer failed")
    balance, height = verified_balance(node, chain, genesis, mine.address)
    need(balance == 18_000, f"the balance is {balance}")
    print(f"outcome and balance {balance} verified at height {height}")

    signed, tx_id = transfer(chain, params, mine, 0, funded.public, 17_990)
    node.send(signed)
    await until_final(node, tx_id)
    verdict = verified_outcome(node, chain, genesis, signed, tx_id)
    need(verdict == {"rejected": {"number": 50, "action": 0}}, f"overspending ended as {verdict}")
    print("overspending is refused in the block, provably:", verdict)

    print("documented errors:")
    documented_errors(node, chain, params, funded, nonce + 1)
    many = [transfer(chain, params, funded, nonce + 1 + i, mine.public, 1)[0] for i in range(10)]
    told = send_many(node, many + [b"nonsense"])
    need(told["accepted"] == 10 and told["results"][10]["error"]["data"]["reason"] == "unknown_version", f"{told}")
    print("ten sent at once, one refused")

    first = max(1, int(node.get("/rpc/head")["height"]) - 3)
    heights = await follow_blocks(node, first, 16, asked.restart)
    print(f"blocks {heights[0]} to {heights[-1]} without a gap" + (" across a restart" if asked.restart else ""))
    balance, height = verified_balance(node, chain, genesis, mine.address)
    print(f"balance {balance} verified at height {height}")


if __name__ == "__main__":
    asyncio.run(main())
