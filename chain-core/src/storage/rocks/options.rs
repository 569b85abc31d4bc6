//! RocksDB's settings: bounded memory, files and logs, for a machine of two cores.
//!
//! Not here: reading and writing (`super`).

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel, Options};

use crate::storage::Table;

/// What an operator may choose. Memory is about `cache_bytes` + `memtable_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Block cache of all tables together, bytes; holds data, index and filter blocks.
    pub cache_bytes: usize,
    /// Memtables of all tables together, bytes. A quarter of it is the largest single one.
    pub memtable_bytes: usize,
    /// Table files open at a time.
    pub open_files: u16,
}

impl Default for RocksOptions {
    /// 256 MiB cache, 256 MiB memtables, 512 files.
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, memtable_bytes: 256 << 20, open_files: 512 }
    }
}

const BLOOM_BITS_PER_KEY: f64 = 10.0; // 1 % false positives
const BLOCK_BYTES: usize = 16 << 10;
/// Format of table files: the newest that RocksDB 11 recommends, fixed so that an update does not change files.
const TABLE_FORMAT: i32 = 6;
const SYNC_STEP_BYTES: u64 = 1 << 20;
const KEPT_INFO_LOGS: usize = 4;
const INFO_LOG_BYTES: usize = 4 << 20;
const MANIFEST_BYTES: usize = 64 << 20;

/// Settings of the whole database.
pub(super) fn database(options: &RocksOptions) -> Options {
    let mut o = Options::default();
    o.set_paranoid_checks(true);
    // Stops at the first damaged record of the log: after a power cut the end of it may be torn, and what
    // was synced lies before. Other modes refuse such an end, or step over damage and leave gaps.
    o.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    o.set_track_and_verify_wals_in_manifest(true); // a log file that went missing is an error
    o.set_max_total_wal_size(2 * options.memtable_bytes as u64);
    o.set_db_write_buffer_size(options.memtable_bytes);
    o.set_max_open_files(i32::from(options.open_files));
    o.set_max_background_jobs(2);
    o.set_bytes_per_sync(SYNC_STEP_BYTES);
    o.set_avoid_unnecessary_blocking_io(true); // old files are deleted in the background
    o.set_skip_stats_update_on_db_open(true); // or start-up reads every file
    o.set_max_manifest_file_size(MANIFEST_BYTES);
    o.set_log_level(LogLevel::Warn);
    o.set_keep_log_file_num(KEPT_INFO_LOGS);
    o.set_max_log_file_size(INFO_LOG_BYTES);
    o.set_stats_dump_period_sec(0);
    o.set_stats_persist_period_sec(0);
    o
}

/// One column family per table, over one block cache.
pub(super) fn families(options: &RocksOptions) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(options.cache_bytes);
    let family = |table: &Table| ColumnFamilyDescriptor::new(table.name(), family(*table, &cache, options));
    Table::ALL.iter().map(family).collect()
}

fn family(table: Table, cache: &Cache, options: &RocksOptions) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(BLOCK_BYTES);
    blocks.set_format_version(TABLE_FORMAT);
    blocks.set_cache_index_and_filter_blocks(true); // counted in the cache, so bounded
    blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if has_point_reads(table) {
        blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
        blocks.set_optimize_filters_for_memory(true);
    }
    let mut o = Options::default();
    o.set_block_based_table_factory(&blocks);
    o.set_compression_type(DBCompressionType::Lz4);
    o.set_write_buffer_size(options.memtable_bytes / 4);
    o.set_level_compaction_dynamic_level_bytes(true);
    o
}

/// Tables read by random keys that are often absent. The others are read by height, or in order.
fn has_point_reads(table: Table) -> bool {
    match table {
        Table::BlockIds | Table::TxIndex | Table::State | Table::Market => true,
        Table::Meta | Table::Headers | Table::Bodies | Table::Certificates | Table::History | Table::Events => false,
    }
}
