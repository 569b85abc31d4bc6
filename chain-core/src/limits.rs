//! Every bound of the protocol in one place: the unit is in the name, and the relations between
//! bounds are asserted at compile time.
//!
//! Not here: parameters the chain can change by vote (`state::params`), limits of one node's
//! door (chain-rpc).

/// Longest canonical encoding of one signed transaction.
pub const MAX_TX_BYTES: usize = 60 * 1024;
/// Shortest transaction; none with an action, a nonce and a signature is as short.
pub const MIN_TX_BYTES: usize = 100;
/// Most actions in one transaction.
pub const MAX_ACTIONS: usize = 16;
/// Most keys in a multi-key authorisation.
pub const MAX_KEYS: usize = 16;
/// Hard cap of a block's body; the parameter `max_block_bytes` may only be lower.
pub const MAX_BLOCK_BYTES: usize = 16 * 1024 * 1024;
/// Hard cap of the number of transactions in a block.
pub const MAX_BLOCK_TXS: usize = 100_000;
/// Longest canonical genesis.
pub const MAX_GENESIS_BYTES: usize = 64 * 1024 * 1024;
/// Most validators in a set.
pub const MAX_VALIDATORS: usize = 256;
/// With stake nobody joins a set of so many: that many records can't be displaced by more stake.
pub const MAX_SIGNERS_BY_STAKE: usize = 192;
/// Most spans in the set remembered of one validator; of more the two oldest count as one. That is no
/// danger to the honest, who never contradict themselves, in the set or not.
pub const MAX_SPANS: usize = 16;
/// Once so many decisions wait for their block, no further one may.
pub const MAX_WAITING_PROPOSALS: u32 = 64;
/// How many blocks ahead an upgrade may be decided.
pub const MAX_UPGRADE_AHEAD_BLOCKS: u64 = 10_000_000;
/// Most proposals of one member the council has not decided.
pub const MAX_OPEN_PROPOSALS: u8 = 8;
/// Most unbondings of one account from one validator that wait at a time.
pub const MAX_UNBONDINGS: usize = 7;
/// Batches of unbonding one evidence window is divided into: conviction looks at each.
pub const BATCHES_PER_WINDOW: u32 = 32;
/// Newest batches of unbonding conviction looks at; more only wait after windows were changed often.
pub const MAX_SLASHED_BATCHES: u32 = 256;
/// Greatest change of a validator's commission at a time, in basis points.
pub const MAX_COMMISSION_STEP_BPS: u16 = 500;
/// Views of a height whose leaders are counted as absent: more than any schedule has turns.
pub const MAX_COUNTED_VIEWS: u32 = 2_048;
/// Most proposals that expire or are forgotten at the end of one block; the rest waits.
pub const MAX_DEADLINES_PER_BLOCK: usize = 512;
/// Longest name of a parameter in a proposal.
pub const MAX_PARAM_NAME_BYTES: usize = 64;
/// Greatest sum of the weights of a validator set: three times it still fits in a `u64`.
pub const MAX_TOTAL_WEIGHT: u64 = 1 << 60;
/// Longest memo of a transfer.
pub const MAX_MEMO_BYTES: usize = 128;
/// Longest URI of an anchor.
pub const MAX_URI_BYTES: usize = 128;
/// Longest word for what kind of thing an anchor is about.
pub const MAX_KIND_BYTES: usize = 32;
/// Shortest asset symbol.
pub const MIN_SYMBOL_BYTES: usize = 2;
/// Longest asset symbol.
pub const MAX_SYMBOL_BYTES: usize = 12;
/// Greatest amount of any asset that can exist, in base units.
pub const MAX_AMOUNT: u128 = 10u128.pow(30);
/// Greatest number of base units one token of an asset may have.
pub const MAX_UNITS_PER_TOKEN: u128 = 10u128.pow(24);
/// Longest key of a state row; keys are padded to one byte more, which holds the length.
pub const MAX_ROW_KEY_BYTES: usize = 47;
/// Longest value of a state row.
pub const MAX_ROW_VALUE_BYTES: usize = 64 * 1024;
/// Longest name in a chain spec (chain name, validator name).
pub const MAX_NAME_BYTES: usize = 64;
/// How far a header's time may be ahead of the local clock before the block is held back.
pub const MAX_CLOCK_DRIFT_MS: u64 = 500;
/// Longest interval between blocks a chain may choose.
pub const MAX_BLOCK_TIME_MS: u64 = 600_000;
/// Shortest interval between blocks a chain may choose.
pub const MIN_BLOCK_TIME_MS: u64 = 50;
/// How many recent blocks keep what is needed to prove their state.
pub const PROOF_WINDOW_BLOCKS: usize = 64;
/// Most changed rows kept to prove recent states: about 130 bytes each.
pub const MAX_UNDO_ROWS: usize = 1_000_000;
/// Newest final blocks kept in memory whole.
pub const RECENT_BLOCKS: usize = 8;
/// Most pooled transactions of one sender.
pub const MAX_LANE_TXS: usize = 64;
/// How far a pooled nonce may be ahead of the account's.
pub const MAX_NONCE_AHEAD: u64 = 64;
/// How often the transaction at one nonce may be replaced while it is pooled.
pub const MAX_REPLACEMENTS: u8 = 16;
/// What a replacement must pay of the fee it replaces, in percent, rounded up.
pub const REPLACEMENT_FEE_PERCENT: u128 = 110;
/// A transaction that expires must be valid for this many blocks above the head on arrival.
pub const MIN_VALID_BLOCKS: u64 = 10;
/// How long a dropped transaction's fate is remembered.
pub const DROPPED_MEMORY_MS: u64 = 3_600_000;
/// How many dropped transactions' fates are remembered.
pub const MAX_DROPPED_REMEMBERED: usize = 100_000;
/// Votes and proposals of views further ahead of the current one are refused.
pub const MAX_VIEWS_AHEAD: u32 = 16;
/// Most certificates that travel inside a proposal; the newest ones do.
pub const MAX_JUSTIFICATION_CERTIFICATES: usize = 64;
/// Longest record of the consensus log: a certificate of the largest set.
pub const MAX_WAL_RECORD_BYTES: usize = 32 * 1024;
/// How long a view waits for its block once it is due; view 0.
pub const VIEW_BASE_MS: u64 = 750;
/// What each further view waits longer.
pub const VIEW_STEP_MS: u64 = 500;
/// Longest wait of a view for its block once it is due.
pub const MAX_VIEW_MS: u64 = 10_000;
/// How long a leader that entered by a notarization waits for the block to become final.
pub const FINAL_WAIT_MS: u64 = 250;
/// How often own messages are sent again after a view's time ran out.
pub const RETRY_MS: u64 = 1_000;
/// A hopeless view v is given up early, but not before v times this (at most `EARLY_STEPS` times).
pub const EARLY_STEP_MS: u64 = 100;
/// Bound of the factor of `EARLY_STEP_MS`.
pub const EARLY_STEPS: u64 = 20;
/// Own finalize votes of this many newest views are sent again.
pub const RESENT_FINALIZE_VIEWS: u32 = 8;
/// Longest frame of the urgent lane: a proposal with a compact block and its justification.
pub const MAX_URGENT_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// Longest frame of the bulk lane: the largest block with its certificate.
pub const MAX_FRAME_BYTES: usize = MAX_BLOCK_BYTES + 256 * 1024;
/// Most final blocks in one answer.
pub const MAX_RANGE_BLOCKS: usize = 128;
/// An answer with several final blocks holds no more bytes than this.
pub const RANGE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of a snapshot in one answer.
pub const MAX_SNAPSHOT_PART_BYTES: usize = 1024 * 1024;
/// Largest snapshot that is fetched from peers: its rows are held in memory before they can be judged.
pub const MAX_SNAPSHOT_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Longest frame of gossip.
pub const MAX_GOSSIP_BYTES: usize = 64 * 1024;
/// Most transactions in one frame of gossip.
pub const MAX_GOSSIP_TXS: usize = 1024;
/// Highest round of a frame of gossip.
pub const MAX_GOSSIP_ROUNDS: u32 = 12;
/// A validator that lost its memory waits for a final block this much newer than its start.
pub const WIPED_WAIT_MS: u64 = 10_000;
/// How long a validator that starts among others listens before it signs.
pub const LISTEN_MS: u64 = 1_500;
/// Heights above the one being decided whose messages are kept for later.
pub const MAX_HEIGHTS_AHEAD: u64 = 2;
/// At most one answer per peer in this time, to messages of the past.
pub const ANSWER_INTERVAL_MS: u64 = 200;
/// Most certificates in one answer to who asks for them.
pub const MAX_ANSWERED_CERTIFICATES: usize = 64;
/// Most peers answered within `ANSWER_INTERVAL_MS`.
pub const MAX_ANSWERED_PEERS: usize = 1024;
/// Most bytes kept of one peer's messages of later heights.
pub const MAX_AHEAD_PEER_BYTES: usize = 1024 * 1024;
/// Most bytes kept of all peers' messages of later heights.
pub const MAX_AHEAD_BYTES: usize = 32 * 1024 * 1024;
/// How long view v waits for a leader that seems to be off: (1 + v) times this.
pub const FAST_VIEW_MS: u64 = 150;
/// A leader seems to be off after it was not heard of during this many decided heights.
pub const FAST_WINDOW_HEIGHTS: u64 = 5;
/// Metered units a price is for.
pub const PRICE_UNITS: u128 = 1_000;
/// Greatest price, in base units for `PRICE_UNITS` metered units.
pub const MAX_PRICE: u128 = 10u128.pow(18);
/// Most entries of a list in the market.
pub const MAX_LIST: usize = 64;
/// Longest name in the market: of a provider, a class, a region, a format.
pub const MAX_LABEL_BYTES: usize = 64;
/// Longest URL of a provider.
pub const MAX_URL_BYTES: usize = 256;
/// Longest reference to content that is kept elsewhere.
pub const MAX_CONTENT_REF_BYTES: usize = 128;
/// Longest reason.
pub const MAX_REASON_BYTES: usize = 256;
/// Longest further description of a provider.
pub const MAX_METADATA_BYTES: usize = 2_048;
/// Most offers of one provider at a time.
pub const MAX_OFFERS: usize = 128;
/// Most arbiters of an offer.
pub const MAX_ARBITERS: usize = 7;
/// Most assets a delegate may spend of one account.
pub const MAX_GRANTED_ASSETS: usize = 16;
/// Least time between heartbeats.
pub const MIN_HEARTBEAT_S: u32 = 600;
/// Least rate of a model, and of models without one, in tokens a second.
pub const MIN_RATE: u32 = 100;
/// Highest rate of a model, and of models without one, in tokens a second.
pub const MAX_RATE: u32 = 10_000;
/// So many tokens count as one picture, second or request where a bound is in tokens.
pub const TOKENS_PER_OTHER_UNIT: u32 = 100;
/// The early fee takes at most this part of a deposit, in basis points.
pub const MAX_EARLY_FEE_BPS: u16 = 1_000;
/// Shortest job: as long as the shortest silence, so that a provider has time to decline it and to claim.
pub const MIN_JOB_S: u32 = MIN_SILENCE_S;
/// Longest job.
pub const MAX_JOB_S: u32 = 31_536_000;
/// Shortest silence after which a job ends.
pub const MIN_SILENCE_S: u32 = 60;
/// Longest silence after which a job ends.
pub const MAX_SILENCE_S: u32 = 3_600;
/// Shortest time bids on a posted job are taken, in seconds.
pub const MIN_BIDDING_S: u32 = 60;
/// Longest time bids on a posted job are taken, in seconds.
pub const MAX_BIDDING_S: u32 = 604_800;
/// Most bids on a posted job.
pub const MAX_BIDS: usize = 64;
/// So many rows of posted jobs nobody took go after one block; the rest waits.
pub const MAX_POST_ROWS_PER_BLOCK: usize = 8_192;
/// Most disputes that end by time after one block, at about 15 rows each; the rest waits.
pub const MAX_DISPUTE_ENDS_PER_BLOCK: usize = 512;
/// The market can't be paused again for so long after a pause ended.
pub const PAUSE_COOLDOWN_S: u32 = 86_400;
/// Most jobs that are settled by themselves after one block, at about 10 rows each; the rest waits.
pub const MAX_JOB_ENDS_PER_BLOCK: usize = 1_024;
/// Most jobs that are looked at for it, at 3 rows each; the rest waits.
pub const MAX_JOBS_LOOKED_AT_PER_BLOCK: usize = 4_096;
/// Most settled jobs that are forgotten after one block, at 5 rows each; the rest waits. As many as can be opened
/// in a block of the default weight.
pub const MAX_JOBS_FORGOTTEN_PER_BLOCK: usize = 4_096;
/// Most compensations paid after one block; the rest waits.
pub const MAX_COMPENSATIONS_PER_BLOCK: usize = 64;
/// How often the time to vote on a model is extended.
pub const MAX_VOTE_EXTENSIONS: u8 = 3;
/// Basis points of the whole.
pub const BPS: u128 = 10_000;

const _: () = assert!(MAX_BLOCK_BYTES > MAX_TX_BYTES);
const _: () = assert!(MAX_AMOUNT < u128::MAX / BPS);
const _: () = assert!(MAX_TOTAL_WEIGHT < u64::MAX / 3);
const _: () = assert!(MAX_KEYS <= 16, "the bitmap of a multi-key authorisation is a u16");
const _: () = assert!(MAX_ROW_KEY_BYTES < 256);
const _: () = assert!(MIN_SYMBOL_BYTES <= MAX_SYMBOL_BYTES);
const _: () = assert!(MAX_LANE_TXS as u64 <= MAX_NONCE_AHEAD + 1, "a lane without gaps can be filled");
const _: () = assert!(REPLACEMENT_FEE_PERCENT > 100);
const _: () = assert!(MAX_WAL_RECORD_BYTES > MAX_VALIDATORS * 64 + 256, "a certificate fits into a log record");
const _: () = assert!(VIEW_BASE_MS > FINAL_WAIT_MS && MAX_VIEW_MS > VIEW_BASE_MS);
const _: () =
    assert!(MAX_URGENT_FRAME_BYTES > 8 * MAX_BLOCK_TXS + MAX_JUSTIFICATION_CERTIFICATES * MAX_WAL_RECORD_BYTES);
const _: () = assert!(MAX_GOSSIP_BYTES > MAX_TX_BYTES + 12);
const _: () = assert!(MAX_FRAME_BYTES > RANGE_BYTES);
const _: () = assert!(MAX_SLASHED_BATCHES > 2 * BATCHES_PER_WINDOW);
