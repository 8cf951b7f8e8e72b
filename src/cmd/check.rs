pub fn run(_: &crate::cli::CheckArgs) -> crate::error::Result<std::process::ExitCode> {
    todo!()
}
