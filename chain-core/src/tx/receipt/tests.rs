//! Rule n of the family is test `rule_n`; scenario rows are in `tx::market_scenarios`.
