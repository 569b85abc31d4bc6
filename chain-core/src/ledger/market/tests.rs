//! Lists of the market against their rows.
