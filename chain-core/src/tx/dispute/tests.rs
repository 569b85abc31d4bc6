//! Rule n of the family is tested by `rule_n_…`.
