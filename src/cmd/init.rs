pub fn run(_: &crate::cli::InitArgs) -> crate::error::Result<()> {
    todo!()
}
