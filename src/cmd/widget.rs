pub fn run(
    _: &crate::cli::WidgetArgs,
    _: impl FnOnce(&str, crate::request::Shell) -> crate::error::Result<crate::request::Suggestion>,
) -> std::process::ExitCode {
    todo!()
}
