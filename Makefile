# The entry to everything. Needs make and Rust; installs what else the build needs, or says what to run.

export CARGO_TARGET_DIR ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/chain-target
DEVNET_DIR ?= .devnet
SEEDS ?= 2000
FROM ?= 0
THREADS ?= 2

.DEFAULT_GOAL := help
.PHONY: help deps build devnet devnet-reset test sim sim-mutants soak lint fmt bench vectors doc

help: ## Lists the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

deps: ## Installs the system packages the build needs
	@sh devnet/deps.sh

build: deps ## Builds the binaries chain-node and chain
	cargo build --release --workspace --bins

# VALIDATORS, BLOCK_TIME, RPC_PORT, P2P_PORT, METRICS_PORT and LOG_LEVEL reach it through the environment.
devnet: build ## Starts a devnet in the foreground (VALIDATORS=4: of four); Ctrl-C stops it, the next start continues it
	@$(CARGO_TARGET_DIR)/release/chain-node devnet run --dir "$(DEVNET_DIR)"

devnet-reset: build ## Throws the devnet's chain away; the next start makes a new one
	@$(CARGO_TARGET_DIR)/release/chain-node devnet reset --dir "$(DEVNET_DIR)"

test: build ## Runs the whole test suite
	@sh devnet/test.sh

sim: deps ## Runs the simulator: SEEDS=2000 FROM=0 THREADS=2, or SEED=n for the event log of one run
	cargo build --release -p chain-tests --bin sim
	@$(CARGO_TARGET_DIR)/release/sim $(if $(SEED),--seed $(SEED),--from $(FROM) --seeds $(SEEDS) --threads $(THREADS))

sim-mutants: deps ## Breaks chain-core in known ways, one by one, and runs the simulator until it notices
	@sh tests/mutants/run.sh

soak: build ## Runs the tests of long chains, kills and power cuts for about half an hour
	CHAIN_SYNC_BLOCKS=10000 CHAIN_KILLS=600 CHAIN_POWER_CUTS=200 cargo nextest run --release --profile soak \
		-p chain-tests --no-fail-fast --success-output immediate -E 'test(sync::) + test(storms::)'

lint: deps ## Checks format and lints; warnings are errors
	cargo fmt --all -- --check
	cargo clippy --release --workspace --all-targets -- -D warnings

fmt: ## Formats the code
	cargo fmt --all

bench: deps ## Runs the benches and prints the figures of docs/benchmarks.md
	cargo build --release --workspace --bins
	cargo bench -p benches --bench micro
	$(CARGO_TARGET_DIR)/release/load --all

vectors: deps ## Writes the frozen test vectors anew: changing bytes is an explicit act
	CHAIN_WRITE_VECTORS=1 cargo test --release --workspace vectors

doc: deps ## Writes docs/rpc.md from the code and builds the API documentation
	cargo run --release -q -p chain-node --bin chain-node -- doc rpc > docs/rpc.md
	cargo doc --release --workspace --no-deps
