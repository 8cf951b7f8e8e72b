use clap::Parser;

fn main() -> std::process::ExitCode {
    match cmdai::cli::Cli::parse().command {
        Some(cmdai::cli::Command::Check(args)) => cmdai::cmd::check::run(&args).unwrap_or_else(|error| {
            eprintln!("cmdai: {error}");
            error.exit_code().into()
        }),
        _ => 2.into(),
    }
}
