//! Where MLX finds its GPU kernels (`mlx.metallib`) in a program that is installed: install.sh puts them into
//! `PREFIX/lib/cmdai`. A program that is not finds them where it was built, which MLX knows by itself.

use std::path::{Path, PathBuf};

use crate::error::Result;

/// Has MLX take the installed kernels, if there are any; before all other calls, which would load others.
pub(super) fn use_installed() -> Result<()> {
    let program = std::env::current_exe().and_then(std::fs::canonicalize);
    program.ok().as_deref().and_then(installed).map_or(Ok(()), |path| set(&path))
}

#[cfg(target_os = "macos")]
fn set(path: &Path) -> Result<()> {
    mlx_rs::metal::set_metallib_path(path.to_string_lossy()).map_err(super::failed)
}

/// MLX on a CPU has no kernels to load.
#[cfg(not(target_os = "macos"))]
fn set(_: &Path) -> Result<()> {
    Ok(())
}

fn installed(program: &Path) -> Option<PathBuf> {
    let path = program.parent()?.parent()?.join("lib/cmdai/mlx.metallib");
    path.exists().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_from_the_program_that_install_sh_put_there() {
        let prefix = tempfile::tempdir().unwrap();
        let library = prefix.path().join("lib/cmdai");
        std::fs::create_dir_all(&library).unwrap();
        assert_eq!(installed(&prefix.path().join("bin/cmdai")), None);
        std::fs::write(library.join("mlx.metallib"), "").unwrap();
        assert_eq!(installed(&prefix.path().join("bin/cmdai")), Some(library.join("mlx.metallib")));
    }
}
