//! What lies in and below the folder where a command will run, as far as a request names it.

mod excerpt;

pub use excerpt::excerpt;

use std::{
    path::{Component, Path},
    time::{Duration, Instant},
};

use walkdir::{DirEntry, WalkDir};

/// How far below the folder where the person is a name is looked for: in folders in folders in folders of it.
const DEPTH: usize = 4;

/// A look takes no longer, or finds nothing: in a folder so large a name says little.
const PATIENCE: Duration = Duration::from_millis(100);

/// The path, from `folder` on, of the only file or folder below it that `name` can mean: none where it lies in `folder`
/// itself, where there are several, or where it would need quotes. Hidden folders are not looked into.
pub fn only(name: &str, folder: &Path) -> Option<String> {
    let end = Instant::now() + PATIENCE;
    let is_plain = |c: char| c.is_alphanumeric() || "._-/+@%,".contains(c);
    // vim runs what follows a `+`.
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let is_hidden =
        |entry: &DirEntry| entry.file_type().is_dir() && entry.file_name().as_encoded_bytes().starts_with(b".");
    if Path::new(name).components().any(|part| !matches!(part, Component::Normal(_))) {
        return None;
    }
    let all = WalkDir::new(folder).min_depth(1).max_depth(DEPTH).same_file_system(true).into_iter();
    let mut found = None;
    for entry in all.filter_entry(|entry| !is_hidden(entry)) {
        if Instant::now() > end {
            return None;
        }
        // What cannot be looked into may have another.
        let entry = entry.ok()?;
        let path = entry.path().strip_prefix(folder).ok()?;
        if path.ends_with(name) && found.replace(path.to_owned()).is_some() {
            return None;
        }
    }
    let path = found?.to_str()?.to_owned();
    (path.contains('/') && path.chars().all(is_plain) && path.starts_with(is_letter)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_means_the_only_file_that_has_it_and_else_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "logs/web/app.log",
            "a.txt",
            "b/a.txt",
            "x/c.md",
            "y/c.md",
            "y/.rc",
            ".git/config",
            "p q/d.md",
            "+so.h/e.md",
            "1/2/3/4.md",
            "1/2/3/4/5.md",
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        for (name, path) in [
            ("app.log", Some("logs/web/app.log")),
            ("web/app.log", Some("logs/web/app.log")),
            ("web", Some("logs/web")),
            (".rc", Some("y/.rc")),
            ("a.txt", None),
            ("c.md", None),
            ("config", None),
            ("d.md", None),
            ("e.md", None),
            ("4.md", Some("1/2/3/4.md")),
            ("5.md", None),
            ("pp.log", None),
            ("..", None),
            ("../app.log", None),
            ("", None),
        ] {
            assert_eq!(only(name, folder.path()).as_deref(), path, "{name}");
        }
        assert_eq!(only("a.txt", &folder.path().join("none")), None);
    }
}
