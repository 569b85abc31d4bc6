//! The tables of the node's database: names, numbers, and the shape of their keys and values.
//!
//! ```text
//! table         no  key                                       value
//! meta           0  ASCII name                                one small record per name
//! headers        1  height (u64 BE)                           header
//! bodies         2  height (u64 BE)                           transactions in execution order
//! certificates   3  height (u64 BE)                           finalization certificate
//! block_ids      4  block id (32 bytes)                       height
//! tx_index       5  transaction id, or a prefix of it         height and position
//! history        6  owner ‖ height (u64 BE) ‖ index (u32 BE)  reference to an event
//! state          7  state table (tag byte) ‖ its typed key    state row
//! events         8  height (u64 BE)                           outcomes and events of the block
//! market         9  tag byte ‖ what is listed                 nothing, or what an entry leads to
//! ```
//!
//! Numbers and names are frozen: a table that is given up leaves its number unused. Integers in keys are
//! big-endian, so that byte order is number order. Every stored value starts with a version byte of
//! its own, which the layer above writes and checks.
//!
//! Not here: the encodings themselves (`ledger`, `state`), how tables are stored (`rocks`, `memory`).

/// Version of the whole on-disk layout. A database of another version is refused, not guessed at.
pub const FORMAT_VERSION: u32 = 1;

/// Key in [`Table::Meta`] under which the format version stands as `u32` little-endian.
pub const FORMAT_VERSION_KEY: &[u8] = b"format_version";

/// A byte table. The discriminant is its frozen number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Single records: format version, head, flushed height, pruning pointers.
    Meta = 0,
    /// Height → block header.
    Headers = 1,
    /// Height → block body. Up to 16 MiB each.
    Bodies = 2,
    /// Height → finalization certificate.
    Certificates = 3,
    /// Block id → height.
    BlockIds = 4,
    /// Transaction id → where it was executed.
    TxIndex = 5,
    /// Account, job or provider → its events, oldest first.
    History = 6,
    /// State rows as of the flushed height.
    State = 7,
    /// Height → outcomes and events of the block.
    Events = 8,
    /// Lists of the market: jobs, offers, providers, receipts.
    Market = 9,
}

impl Table {
    /// Every table, in the order of its number.
    pub const ALL: [Table; 10] = [
        Table::Meta,
        Table::Headers,
        Table::Bodies,
        Table::Certificates,
        Table::BlockIds,
        Table::TxIndex,
        Table::History,
        Table::State,
        Table::Events,
        Table::Market,
    ];

    /// How many tables there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The frozen name; it is the column family's name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Headers => "headers",
            Table::Bodies => "bodies",
            Table::Certificates => "certificates",
            Table::BlockIds => "block_ids",
            Table::TxIndex => "tx_index",
            Table::History => "history",
            Table::State => "state",
            Table::Events => "events",
            Table::Market => "market",
        }
    }

    /// The frozen number, also the index into [`Table::ALL`].
    pub const fn number(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_frozen() {
        let listed: Vec<_> = Table::ALL.iter().map(|t| (t.number(), t.name())).collect();
        let frozen = [
            (0, "meta"),
            (1, "headers"),
            (2, "bodies"),
            (3, "certificates"),
            (4, "block_ids"),
            (5, "tx_index"),
            (6, "history"),
            (7, "state"),
            (8, "events"),
            (9, "market"),
        ];
        assert_eq!(listed, frozen);
    }
}
