//! Who may import whom, as docs/architecture.md says, read from the sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Parts and the parts of the crate that each may name.
const ALLOWED: [(&str, &[&str]); 20] = [
    ("blast_radius", &["safety"]),
    ("cli", &["request", "model"]),
    ("commands", &["context", "request"]),
    ("config", &["cli", "context", "engine", "error", "model", "request"]),
    ("context", &["request"]),
    ("engine", &["engine", "model", "error", "platform"]),
    ("error", &[]),
    ("examples", &[]),
    ("model", &["model", "error"]),
    ("nearby", &["request"]),
    ("parse", &["error"]),
    (
        "pipeline",
        &["commands", "context", "engine", "error", "examples", "parse", "prompt", "quoted", "request", "safety"],
    ),
    ("platform", &["error"]),
    ("prompt", &["context", "engine", "examples", "request"]),
    ("quoted", &["request", "safety"]),
    ("request", &["context", "safety"]),
    ("safety", &["safety", "request"]),
    ("server", &["context", "engine", "error", "model", "pipeline", "request", "server"]),
    ("shell", &["error", "request"]),
    (
        "cmd",
        &[
            "blast_radius",
            "cli",
            "cmd",
            "config",
            "context",
            "engine",
            "error",
            "model",
            "nearby",
            "pipeline",
            "platform",
            "request",
            "safety",
            "server",
            "shell",
        ],
    ),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found
}

/// The part of the crate that a source file belongs to: `engine` for src/engine/llama.rs.
fn part(file: &Path) -> String {
    let inside = file.strip_prefix("src").expect("below src").components().next().expect("a name");
    inside.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Every `crate::name` in the code of `text`, also inside `use crate::{a, b::c}`.
fn named_parts(text: &str) -> Vec<String> {
    let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(names_of_list(list)),
            None => found.push(name(rest)),
        }
    }
    found
}

/// The first names of a brace list, down to its end.
fn names_of_list(list: &str) -> Vec<String> {
    let (mut depth, mut wanted, mut found) = (0, true, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => wanted = true,
            c if wanted && depth == 0 && c.is_alphabetic() => {
                found.push(name(&list[at..]));
                wanted = false;
            }
            _ => {}
        }
    }
    found
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn parts_import_downward_only() {
    for file in sources(Path::new("src")) {
        let part = part(&file);
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == part) else {
            assert!(part == "main" || part == "lib", "{}: which part is this?", file.display());
            continue;
        };
        for named in named_parts(&fs::read_to_string(&file).expect("a source")) {
            let fine = allowed.contains(&named.as_str()) || named == "Result" || named == part;
            assert!(fine, "{} names crate::{named}; {part} may name {allowed:?}", file.display());
        }
    }
}

#[test]
fn processes_network_and_environment_stay_where_they_belong() {
    let network: &[&str] = &["src/model/store", "src/engine/remote"];
    let rules: [(&str, &[&str]); 12] = [
        ("process::{Command", &["src/model/store/pypi.rs", "src/server/place.rs"]),
        ("process::Command", &[]),
        ("env::var", &["src/config.rs"]),
        ("hf_hub::", &["src/model/store/hub.rs", "src/model/store/cache.rs", "src/model/store/fault.rs"]),
        ("io::stdout", &["src/cmd"]),
        ("reqwest", network),
        ("tokio::", &["src/model/store", "src/engine/remote", "src/server"]),
        // They panic where memory is short: thread::Builder gives an error.
        ("thread::spawn", &[]),
        ("scope.spawn", &[]),
        ("TcpStream", &[]),
        ("UdpSocket", &[]),
        ("ToSocketAddrs", &[]),
    ];
    for file in sources(Path::new("src")) {
        let text = fs::read_to_string(&file).expect("a source");
        for (what, places) in rules {
            let fine = places.iter().any(|place| file.starts_with(place));
            assert!(fine || !text.contains(what), "{} uses {what}, which belongs to {places:?}", file.display());
        }
    }
}
