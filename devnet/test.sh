#!/bin/sh
# Runs the whole suite with cargo-nextest where it is installed and with cargo's own runner elsewhere.
set -eu
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --release --workspace --no-fail-fast "$@"
    cargo test --release --workspace --doc -q
else
    cargo test --release --workspace --no-fail-fast "$@"
fi
