//! The binary `chain-node`: parse, configure, run. Exit codes are in `exit`.

use chain_node::cli::Cli;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            eprintln!("error: {exit}");
            ExitCode::from(exit.code())
        }
    }
}
