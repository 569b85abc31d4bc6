//! `chain`: the person's tool. Parses the command line, runs one command, reports its error on one line.

mod commands;
mod keys;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keys, transfers, queries and proofs
#[derive(Debug, Parser)]
#[command(name = "chain", version)]
struct Cli {
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, import, list, show and export keys
    Keys(commands::keys::KeysArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Keys(args) => commands::keys::run(args, cli.json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
