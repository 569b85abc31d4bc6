#!/bin/sh
# Installs what the build needs besides Rust: a C++ compiler and libclang, both for RocksDB.
# Without the rights to install, says in one line what to run.
set -eu

missing=""
command -v c++ >/dev/null 2>&1 || missing="$missing g++"
if ! ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib64/libclang*.so* "${LIBCLANG_PATH:-/nonexistent}"/libclang* >/dev/null 2>&1; then
    missing="$missing clang libclang-dev"
fi
command -v cargo >/dev/null 2>&1 || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
[ -z "$missing" ] && exit 0

install="apt-get update && apt-get install -y$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "The build needs a C++ compiler and libclang: install them with your system's package manager." >&2
    exit 1
elif [ "$(id -u)" = 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing
else
    echo "The build needs:$missing. Run: sudo sh -c '$install'" >&2
    exit 1
fi
