//! The rules, as three tables: what an effect on a target costs, what named effects cost, and what the subcommands of
//! well-known programs do. A program that no row names is taken to be harmless.

use super::Risk;
use super::Risk::{Caution, Dangerous, Safe};
use super::target::Target::{self, *};

/// What is done to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Deleted with everything below it.
    DeleteTree,
    /// Deleted, one file or a pattern.
    Delete,
    /// Deleted below it by a search with a filter.
    DeleteMatching,
    /// Replaced by other text.
    Overwrite,
    /// Left with no content.
    Empty,
    /// Added to.
    Append,
    /// Replaced by a copy of another file.
    CopyOver,
    /// Moved away.
    MoveAway,
    /// Mode or owner of everything below it changed.
    ModeTree,
    /// Mode widened, or owner changed, of this alone.
    Mode,
    /// Edited in place.
    Edit,
}
use Effect::*;

/// One row: these effects on these targets.
pub(super) struct OnTarget {
    effects: &'static [Effect],
    targets: &'static [Target],
    pub(super) risk: Risk,
    pub(super) rule: &'static str,
    pub(super) reason: &'static str,
}

const fn on(
    effects: &'static [Effect],
    targets: &'static [Target],
    risk: Risk,
    rule: &'static str,
    reason: &'static str,
) -> OnTarget {
    OnTarget { effects, targets, risk, rule, reason }
}

const REMOVALS: &[Effect] = &[DeleteTree, Delete, DeleteMatching];
const WRITES: &[Effect] = &[Overwrite, Empty, Append, CopyOver, Edit];
const REPLACES: &[Effect] = &[Overwrite, Empty, CopyOver];

/// The first row that fits counts.
#[rustfmt::skip]
const ON_TARGET: &[OnTarget] = &[
    on(WRITES, &[RawDisk], Dangerous, "write-disk", "writes over a disk, not into a file"),
    on(REMOVALS, &[RawDisk], Dangerous, "delete-device", "deletes a device entry of a disk"),
    on(REMOVALS, &[Root], Dangerous, "delete-root", "deletes everything on the system"),
    on(REMOVALS, &[Home], Dangerous, "delete-home", "deletes everything under your home directory"),
    on(REMOVALS, &[Credential], Dangerous, "delete-credentials", "deletes keys or passwords"),
    on(REMOVALS, &[History], Dangerous, "delete-history", "deletes the saved shell history"),
    on(REMOVALS, &[Startup], Dangerous, "delete-startup", "deletes a start-up file"),
    on(REMOVALS, &[Critical], Dangerous, "delete-system-file", "deletes a file the system needs"),
    on(&[DeleteTree], &[System], Dangerous, "delete-system", "deletes a directory of the system"),
    on(&[DeleteTree], &[Data], Dangerous, "delete-data", "deletes a whole directory outside the project"),
    on(&[DeleteTree], &[InHome], Dangerous, "delete-in-home", "deletes a whole directory in your home, outside the project"),
    on(&[DeleteTree], &[Parent], Dangerous, "delete-parent", "deletes outside the working directory"),
    on(&[DeleteTree], &[Here], Dangerous, "delete-here", "deletes everything in the working directory"),
    on(&[DeleteTree], &[Unknown], Dangerous, "delete-unknown", "deletes a whole directory that cannot be seen here; if the name is empty it may be everything"),
    on(&[DeleteTree], &[AllTmp], Dangerous, "delete-all-tmp", "deletes the temporary files of every program"),
    on(&[DeleteTree], &[Git], Dangerous, "delete-git", "deletes the repository's history"),
    on(&[DeleteTree], &[Backup], Dangerous, "delete-backup", "deletes backups"),
    on(&[DeleteMatching], &[System], Dangerous, "delete-system", "deletes many files of the system"),
    on(&[DeleteMatching], &[Git], Dangerous, "delete-git", "deletes parts of the repository's history"),
    on(REMOVALS, &[Build], Safe, "", ""),
    on(REMOVALS, &[Sink], Safe, "", ""),
    on(REMOVALS, &[Cache], Caution, "delete-cache", "deletes a cache, which is fetched again"),
    on(REMOVALS, &[Tmp], Caution, "delete-tmp", "deletes a temporary file or directory"),
    on(&[DeleteTree], &[Project], Caution, "delete-tree", "deletes a directory of the project"),
    on(&[Delete, DeleteMatching], &[Git], Caution, "delete-git-file", "deletes a file of the repository's own data"),
    on(REMOVALS, &[], Caution, "delete-file", "deletes files for good"),

    on(REPLACES, &[Critical, System], Dangerous, "overwrite-system", "overwrites a system file"),
    on(REPLACES, &[Startup], Dangerous, "overwrite-startup", "overwrites a start-up file"),
    on(REPLACES, &[Credential], Dangerous, "overwrite-credentials", "overwrites keys or passwords"),
    on(REPLACES, &[History], Dangerous, "overwrite-history", "overwrites the saved shell history"),
    on(&[Overwrite, Empty], &[Git], Dangerous, "overwrite-git", "overwrites the repository's own data"),
    on(&[Edit, CopyOver], &[Git], Caution, "edit-git", "changes the repository's own data"),
    on(&[Append], &[Startup], Caution, "append-startup", "adds to a start-up file"),
    on(&[Append], &[Critical, System], Caution, "append-system", "adds to a system file"),
    on(&[Append], &[Credential], Caution, "append-credentials", "adds to a file of keys or passwords"),
    on(&[Empty], &[], Caution, "empty-file", "empties a file"),
    on(&[Overwrite], &[Unknown], Caution, "overwrite-unknown", "overwrites a file that cannot be seen here"),
    on(&[Edit], &[], Caution, "edit-in-place", "changes files in place"),
    on(&[Overwrite, CopyOver, Append], &[], Safe, "", ""),

    on(&[MoveAway], &[Root, Home, System, Critical], Dangerous, "move-system", "moves away files that the system or your account needs"),
    on(&[MoveAway], &[RawDisk], Dangerous, "move-device", "moves a device entry"),
    on(&[MoveAway], &[], Caution, "move", "moves files, and may overwrite others"),

    on(&[ModeTree], &[Root, System, Home, Critical, RawDisk], Dangerous, "mode-tree", "changes mode or owner of a whole system or home tree"),
    on(&[Mode], &[Root, Home, Critical, RawDisk], Dangerous, "mode-system", "changes mode or owner of something the system or your account rests on"),
    on(&[ModeTree], &[Unknown], Dangerous, "mode-unknown", "changes mode or owner of a tree that cannot be seen here"),
    on(&[ModeTree, Mode], &[], Caution, "mode", "changes mode or owner of files"),
];

/// What `effect` on `target` costs; `None` if nothing.
pub(super) fn on_target(effect: Effect, target: Target) -> Option<&'static OnTarget> {
    let fits =
        |row: &&OnTarget| row.effects.contains(&effect) && (row.targets.is_empty() || row.targets.contains(&target));
    ON_TARGET.iter().find(fits).filter(|row| row.risk > Safe)
}

/// Effects that code in this module's siblings recognises by more than a name.
#[rustfmt::skip]
const EFFECTS: &[(&str, Risk, &str)] = &[
    ("hidden-character", Dangerous, "holds a character that hides or reorders text"),
    ("deceptive-name", Dangerous, "the command's name holds letters that only look like another name's"),
    ("too-long", Caution, "too long or too deeply nested to be read to its end"),
    ("unparsed", Caution, "could not be read as the shell would read it"),
    ("unseen-command", Caution, "runs a command that cannot be seen here"),
    ("unseen-command-root", Dangerous, "runs a command that cannot be seen here, as administrator"),
    ("unseen-code", Caution, "runs text that cannot be seen here"),
    ("unseen-code-root", Dangerous, "runs code that cannot be seen here, as administrator"),
    ("network-code", Dangerous, "runs code fetched from the network"),
    ("hidden-code", Dangerous, "runs text that is encoded or scrambled"),
    ("sudo", Caution, "runs as administrator"),
    ("root-shell", Dangerous, "opens a shell with all rights"),
    ("fork-bomb", Dangerous, "starts copies of itself without end"),
    ("endless-loop", Dangerous, "repeats without end or pause, filling the disk or the process table"),
    ("fill-disk", Dangerous, "writes without end until the disk is full"),
    ("reverse-shell", Dangerous, "gives a shell on this machine to another one"),
    ("network-file", Caution, "sends to another machine"),
    ("send-secret", Dangerous, "sends keys, passwords or the environment to another machine"),
    ("show-secret", Caution, "shows a secret on the screen"),
    ("copy-secret", Caution, "copies keys or passwords"),
    ("send", Caution, "sends data to another machine"),
    ("remote-change", Caution, "sends a request that changes something on a server"),
    ("remote-delete-all", Dangerous, "asks a server to delete everything"),
    ("listen", Caution, "opens or forwards a network port"),
    ("kill", Caution, "ends processes"),
    ("kill-all", Dangerous, "ends every process"),
    ("move-null", Dangerous, "moves files into nothing"),
    ("overwrite", Caution, "may overwrite files without asking"),
    ("set-uid", Dangerous, "lets everyone run a program with its owner's rights"),
    ("sudoers", Dangerous, "changes who may act as administrator"),
    ("grant-admin", Dangerous, "gives lasting administrator rights"),
    ("sync-delete", Caution, "deletes at the destination what is not in the source"),
    ("sync-delete-wide", Dangerous, "deletes files outside the project that are not in the source"),
    ("unpack-absolute", Caution, "unpacks to absolute paths, over what is there"),
    ("unpack-root", Dangerous, "unpacks over the system as administrator"),
    ("many-remote", Dangerous, "deletes many things on a server"),
    ("git-force-push", Dangerous, "overwrites the branch on the remote"),
    ("git-delete-main", Dangerous, "deletes the main branch on the remote"),
    ("git-delete-remote", Caution, "deletes a branch on the remote"),
    ("git-discard", Caution, "throws away uncommitted work"),
    ("sql-destroy", Dangerous, "drops or empties whole tables, or changes every row"),
    ("sql-change", Caution, "changes data in a database"),
    ("sql-file", Caution, "runs database statements that cannot be seen here"),
    ("essential-package", Dangerous, "removes a package that the system needs to work"),
    ("host-container", Dangerous, "gives a container full rights on this machine"),
    ("preload", Caution, "loads other code into the program"),
    ("service-network", Dangerous, "stops a service that the machine is reached through"),
    ("schedule", Caution, "changes scheduled jobs"),
    ("power-script", Dangerous, "stops or restarts the machine through another program"),
    ("server-empty", Dangerous, "empties, stops or rewrites a database server"),
    ("fetch-run", Dangerous, "runs a file that this line fetched from the network"),
    ("key-append-network", Dangerous, "adds text from the network to a start-up or key file"),
];

/// Risk and reason of a named effect.
pub(super) fn effect(name: &str) -> (Risk, &'static str) {
    let row = EFFECTS.iter().find(|(rule, ..)| *rule == name);
    row.map_or((Caution, "does something that no rule describes"), |(_, risk, reason)| (*risk, reason))
}

/// The names of all rules in the tables, each once, in no order that matters.
pub fn rule_names() -> Vec<&'static str> {
    let on_targets = ON_TARGET.iter().map(|row| row.rule).filter(|rule| !rule.is_empty());
    let mut names: Vec<&str> =
        on_targets.chain(EFFECTS.iter().map(|(rule, ..)| *rule)).chain(PROGRAMS.iter().map(|rule| rule.name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A row on a program and its subcommand.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Program, then leading operands; `a|b` is either, `*` any operand, `…x` one that begins with x.
    pub(super) command: &'static str,
    /// Options or operands of which one must be there; `a&b` needs both. Empty: none needed.
    pub(super) need: &'static str,
    /// Options of which none may be there.
    pub(super) unless: &'static str,
    pub(super) risk: Risk,
    pub(super) reason: &'static str,
}

const fn r(
    name: &'static str,
    command: &'static str,
    need: &'static str,
    unless: &'static str,
    risk: Risk,
    reason: &'static str,
) -> Rule {
    Rule { name, command, need, unless, risk, reason }
}

#[path = "table.rs"]
mod table;
pub(super) use table::{PROGRAMS, VALUE_OPTIONS};
