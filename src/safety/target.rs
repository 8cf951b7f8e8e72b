//! What a path is to its owner: the same deletion is tidy in `target` and a disaster in `~`.

use super::places::{BUILD, CREDENTIAL, CRITICAL, DATA, ETC_STARTUP, HISTORY, HOME_CACHE, STARTUP, SYSTEM};
use super::word::{SOME, UNKNOWN};

/// The kinds of place a command can touch, told apart by what their loss costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `/` or everything directly in it.
    Root,
    /// A tree the operating system owns.
    System,
    /// One file without which the system fails or opens: `/etc/passwd`, sudoers.
    Critical,
    /// A disk, not a file on it.
    RawDisk,
    /// The home directory, all homes, or everything in one.
    Home,
    /// A place under the home directory, outside the project.
    InHome,
    /// A start-up file of a shell or session.
    Startup,
    /// Keys and passwords.
    Credential,
    /// A shell's saved history.
    History,
    /// The repository's own data.
    Git,
    /// A copy kept for recovery.
    Backup,
    /// Above the working directory.
    Parent,
    /// The working directory, or everything in it.
    Here,
    /// A variable or a list that cannot be seen.
    Unknown,
    /// `/tmp` itself or all of it.
    AllTmp,
    /// A named place under `/tmp`.
    Tmp,
    /// A cache that is fetched again.
    Cache,
    /// A directory that the build makes again.
    Build,
    /// A named part of the project.
    Project,
    /// Another disk or a data tree: `/srv`, `/opt`, `/mnt`.
    Data,
    /// `/dev/null`, the terminal, standard streams.
    Sink,
}

/// Says what the path `text` is. `~` stands for the home directory, markers for what is unknown; `cwd` is where the
/// line has changed to, if it has.
pub(super) fn classify(text: &str, cwd: Option<&str>) -> Target {
    let text = text.strip_prefix("file://").unwrap_or(text);
    if text.chars().all(|c| matches!(c, UNKNOWN | SOME)) {
        return Target::Unknown;
    }
    if text.starts_with(UNKNOWN) {
        return unknown_prefix(text);
    }
    let path = normalize(text, cwd);
    if let Some(rest) = home_relative(&path) {
        return in_home(rest);
    }
    match path.strip_prefix('/') {
        Some(rest) => absolute(&path, rest),
        None => relative(&path),
    }
}

/// `$X/*` is `/*` when X is empty; `$X.log` is a name whose first part cannot be seen.
fn unknown_prefix(text: &str) -> Target {
    let rest = text.trim_start_matches([UNKNOWN, SOME]);
    let last = rest.rsplit('/').next().unwrap_or("");
    if BUILD.contains(&last) && rest.len() > last.len() {
        return Target::Project;
    }
    if rest.starts_with(['.', '-', '_', '@']) && !rest.contains('/') && rest.len() > 2 {
        return Target::Project;
    }
    match classify(rest, None) {
        Target::Project | Target::Build | Target::Tmp | Target::Cache | Target::Data | Target::Here => Target::Unknown,
        worse => worse,
    }
}

/// An absolute or clearly relative path: unknown parts removed (they may be empty), `//`, `.` and `x/..` folded.
pub(super) fn normalize(text: &str, cwd: Option<&str>) -> String {
    let known: String = text.chars().filter(|c| *c != UNKNOWN).map(|c| if c == SOME { 'x' } else { c }).collect();
    let rooted = known.starts_with(['/', '~']);
    let joined = match cwd {
        Some(dir) if !rooted => format!("{dir}/{known}"),
        _ => known,
    };
    let absolute = joined.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != ".." && *p != "~") => drop(parts.pop()),
            ".." if absolute => {}
            ".." if parts.last() == Some(&"~") => parts = vec!["", "home"],
            _ => parts.push(part),
        }
    }
    let path = parts.join("/");
    match (absolute, path.is_empty()) {
        (true, _) => format!("/{path}"),
        (false, true) => ".".into(),
        (false, false) => path,
    }
}

/// The part below a home directory, `""` for the home itself.
fn home_relative(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix('~') {
        let rest = rest.split_once('/').map_or("", |(_, rest)| rest);
        return Some(rest);
    }
    for homes in ["/home/", "/Users/"] {
        if let Some(rest) = path.strip_prefix(homes) {
            return Some(rest.split_once('/').map_or("", |(_, rest)| rest));
        }
    }
    match path {
        "/home" | "/Users" | "/root" => Some(""),
        _ => path.strip_prefix("/root/"),
    }
}

/// Everything: `*`, `**`, `.*`, `{*,.*}`, `*.*`, `[^.]*`.
fn is_everything(name: &str) -> bool {
    matches!(
        name,
        "*" | "**" | ".*" | "*.*" | ".[!.]*" | ".[^.]*" | "?*" | ".??*" | "*?" | ".?*" | "[!.]*" | "" | "***"
    )
}

fn all_everything(path: &str) -> bool {
    path.split('/').all(is_everything)
}

/// `path` is `entry` or lies below it.
fn within(path: &str, entry: &str) -> bool {
    path.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn in_home(rest: &str) -> Target {
    if all_everything(rest) {
        return Target::Home;
    }
    if STARTUP.contains(&rest) {
        return Target::Startup;
    }
    if is_public(rest) {
        return Target::InHome;
    }
    if HISTORY.contains(&rest) || rest.ends_with("_history") {
        return Target::History;
    }
    if rest.starts_with(".config/autostart/") {
        return Target::Startup;
    }
    if HOME_CACHE.iter().any(|entry| within(rest, entry)) {
        return Target::Cache;
    }
    if CREDENTIAL.iter().any(|entry| within(rest, entry)) {
        return Target::Credential;
    }
    special_name(rest).unwrap_or(Target::InHome)
}

/// Files in a credential directory that hold no secret.
fn is_public(path: &str) -> bool {
    path.ends_with(".pub")
        || path.ends_with("known_hosts")
        || path.ends_with(".ssh/config")
        || path.ends_with(".aws/config")
}

fn absolute(path: &str, rest: &str) -> Target {
    let (top, below) = rest.split_once('/').unwrap_or((rest, ""));
    if let Some(device) = path.strip_prefix("/dev/") {
        return device_target(device);
    }
    if CRITICAL.contains(&path) || path.starts_with("/etc/sudoers") || path.starts_with("/etc/ssh/ssh_host") {
        return Target::Critical;
    }
    if let Some(name) = path.strip_prefix("/etc/")
        && ETC_STARTUP.contains(&name)
    {
        return Target::Startup;
    }
    if all_everything(rest) || rest.starts_with("**/") || is_everything(top) {
        return Target::Root;
    }
    if top == "tmp" || path.starts_with("/var/tmp") || path.starts_with("/private/tmp") || path.starts_with("/dev/shm")
    {
        let inner = path.split_once("tmp").map_or(below, |(_, inner)| inner.trim_start_matches('/'));
        return if all_everything(inner) { Target::AllTmp } else { Target::Tmp };
    }
    if path.starts_with("/var/cache/") || path.starts_with("/Library/Caches") {
        return Target::Cache;
    }
    if path.starts_with("/backup") || special_name(rest) == Some(Target::Backup) {
        return Target::Backup;
    }
    if path.starts_with("/var/www") || DATA.contains(&top) {
        return Target::Data;
    }
    if SYSTEM.contains(&top)
        || SYSTEM.iter().any(|dir| top.contains(['*', '?', '[', '{']) && dir.chars().next() == top.chars().next())
    {
        return Target::System;
    }
    Target::Data
}

fn device_target(device: &str) -> Target {
    const SINKS: &[&str] = &[
        "null", "zero", "full", "stdout", "stderr", "stdin", "tty", "random", "urandom", "console", "pts", "fd", "ptmx",
    ];
    const DISKS: &[&str] = &[
        "sd", "hd", "vd", "xvd", "nvme", "disk", "rdisk", "mmcblk", "md", "dm-", "mapper", "loop", "mem", "kmem",
        "port", "sr", "ada", "da", "nbd", "zd", "block",
    ];
    let first = device.split('/').next().unwrap_or(device);
    if matches!(first, "tcp" | "udp") || SINKS.contains(&first) || first.starts_with("tty") {
        return Target::Sink;
    }
    if device.starts_with("shm/") {
        return Target::Tmp;
    }
    if first.is_empty() || DISKS.iter().any(|disk| first.starts_with(disk)) || first.contains('*') {
        return Target::RawDisk;
    }
    Target::System
}

fn relative(path: &str) -> Target {
    if path == "." || all_everything(path) {
        return Target::Here;
    }
    let last = path.rsplit('/').find(|part| !part.is_empty() && *part != "*").unwrap_or(path);
    if path == ".." || path.starts_with("../") {
        return if BUILD.contains(&last) { Target::Project } else { Target::Parent };
    }
    if BUILD.contains(&last) || path.split('/').any(|part| BUILD[..9].contains(&part)) {
        return Target::Build;
    }
    special_name(path).unwrap_or(Target::Project)
}

/// What a name says wherever it stands: a repository's data, a backup, a credential file of a project.
fn special_name(path: &str) -> Option<Target> {
    if is_public(path) {
        return None;
    }
    let parts = || path.split('/');
    let last = path.rsplit('/').next().unwrap_or(path);
    if parts().any(|p| matches!(p, ".git" | ".hg" | ".svn" | ".jj")) {
        return Some(Target::Git);
    }
    if parts().any(|p| matches!(p.trim_start_matches('.'), "backup" | "backups" | "snapshots" | "Backups" | "snapshot"))
    {
        return Some(Target::Backup);
    }
    (is_secret_file(last) || path.contains(".ssh/id_")).then_some(Target::Credential)
}

/// File names that hold keys or passwords in any directory.
fn is_secret_file(name: &str) -> bool {
    const SAMPLES: &[&str] = &[".example", ".sample", ".template", ".dist", ".pub", ".test"];
    if SAMPLES.iter().any(|end| name.ends_with(end)) {
        return false;
    }
    matches!(
        name,
        "id_rsa"
            | "id_ed25519"
            | "id_ecdsa"
            | "id_dsa"
            | ".env"
            | "credentials.json"
            | ".netrc"
            | ".pgpass"
            | "service-account.json"
            | ".git-credentials"
            | ".npmrc"
            | ".pypirc"
            | "secrets.yml"
            | "secrets.yaml"
            | "secrets.json"
            | "kubeconfig"
            | ".htpasswd"
            | "wallet.dat"
            | ".vault_pass"
    ) || name.starts_with(".env.")
        || [".pem", ".key", ".p12", ".pfx", ".kdbx", ".jks", ".keystore"].iter().any(|end| name.ends_with(end))
}

/// The saved history of a shell.
pub(super) fn is_history(text: &str, cwd: Option<&str>) -> bool {
    matches!(classify(text, cwd), Target::History)
}

/// A file that is not for other machines.
pub(super) fn is_private(text: &str, cwd: Option<&str>) -> bool {
    is_secret(text, cwd) || is_history(text, cwd)
}

/// A file whose content is a secret when read.
pub(super) fn is_secret(text: &str, cwd: Option<&str>) -> bool {
    if text.contains([' ', '\n']) {
        return false;
    }
    let path = normalize(text, cwd);
    matches!(path.as_str(), "/etc/shadow" | "/etc/gshadow" | "/etc/master.passwd" | "/proc/self/environ")
        || path.ends_with("/environ") && path.starts_with("/proc/")
        || matches!(classify(text, cwd), Target::Credential)
}
