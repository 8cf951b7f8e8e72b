//! Commands whose danger lies in the path they are given: deleting, writing, moving, modes, disks, synchronising.

use super::Risk;
use super::rules::{self, Effect};
use super::target::{self, Target};
use super::walk::{Command, Walker};
use super::word::{ENDLESS, Flow, NETWORK, PRIVATE, SHELL, UNKNOWN, Word, guessed};

impl Walker {
    /// Notes what `effect` on the path `word` costs.
    pub(super) fn touch(&mut self, effect: Effect, word: &Word) {
        if matches!(effect, Effect::Empty | Effect::Overwrite) && word.text.contains("/**/") {
            return self.touch_found(effect, word);
        }
        let target = target::classify(&word.text, self.cwd());
        if let Some(row) = rules::on_target(effect, target) {
            self.note(row.rule, word.span, row.risk, row.reason);
        }
    }

    fn touch_all(&mut self, effect: Effect, words: &[Word]) {
        words.iter().for_each(|word| self.touch(effect, word));
    }

    /// Output goes into the file `word`. `out.present` is false when no command stands before the `>`.
    pub(super) fn write(&mut self, word: &Word, out: &Flow, append: bool) {
        if let Some(code) = self.sinks.get(&word.text).cloned() {
            self.inner(&code, Flow { present: true, ..out.clone() }, word.span);
            return;
        }
        let empties = !append
            && (!out.present
                || matches!(self.last_name.as_str(), ":" | "true")
                || out.text.as_deref() == Some("") && self.last_name != "echo");
        let path = target::normalize(&word.text, self.cwd());
        let effect = match (append, empties) {
            (true, _) => Effect::Append,
            (false, true) => Effect::Empty,
            (false, false) => Effect::Overwrite,
        };
        if path.starts_with("/etc/sudoers") {
            self.flag("sudoers", word.span);
        } else if !append && path.starts_with("/etc/") && path.contains(".d/")
            || path.starts_with("/proc/sys/")
            || path.starts_with("/sys/")
        {
            self.note("write-system", word.span, Risk::Caution, "writes a system setting");
        } else if path.starts_with("/var/log/") && !is_key_log(&path) || path.starts_with("/usr/local/") {
            self.note("write-system", word.span, Risk::Caution, "writes a system file");
        } else {
            self.touch(effect, word);
        }
        if path == "/proc/sysrq-trigger" {
            self.note("power", word.span, Risk::Dangerous, "stops or restarts the machine");
        }
        let target = target::classify(&word.text, self.cwd());
        if append && out.taint & NETWORK != 0 && matches!(target, Target::Startup | Target::Credential) {
            self.flag("key-append-network", word.span);
        }
        let endless = matches!(self.last_name.as_str(), "yes") || out.taint & ENDLESS != 0;
        if endless && !matches!(target, Target::Sink) {
            self.flag("fill-disk", word.span);
        }
        self.lasting(&path, out, word.span);
        let flow = Flow { present: true, ..out.clone() };
        self.files.insert(word.text.clone(), flow);
    }

    /// Output goes to `/dev/tcp/…`.
    pub(super) fn network_file(&mut self, word: &Word, out: &Flow) {
        let shell = matches!(
            self.last_name.as_str(),
            "sh" | "bash" | "zsh" | "dash" | "ksh" | "exec" | "python" | "python3" | "perl"
        );
        if shell || out.taint & SHELL != 0 {
            self.flag("reverse-shell", word.span);
        } else if out.taint & PRIVATE != 0 {
            self.flag("send-secret", word.span);
        } else if !matches!(self.last_name.as_str(), "echo" | ":" | "true" | "" | "printf") {
            self.flag("network-file", word.span);
        }
    }

    /// The commands of this module.
    pub(super) fn files_touched(&mut self, command: &Command) {
        let operands: Vec<Word> = command.operands().cloned().collect();
        match command.name.as_str() {
            "rm" | "unlink" | "rmdir" | "trash" | "srm" | "trash-put" | "rip" => self.remove(command, &operands),
            // Only an answer given beforehand lets it write over a key.
            "ssh-keygen" if command.stdin.present && !command.has("-y -l -F -R -H -p -c -e -i -B") => {
                if let Some(key) = command.value_of("-f") {
                    self.touch(Effect::Overwrite, &key);
                }
            }
            "shred" => {
                self.touch_all(Effect::Delete, &command.operands_after("-n -s --size").cloned().collect::<Vec<_>>())
            }
            "truncate" => {
                let files: Vec<Word> = command.operands_after("-s -r --size").cloned().collect();
                self.touch_each_write(&files, Effect::Empty);
            }
            "find" => self.find(command),
            "fd" | "fdfind" => {}
            "mv" => self.move_files(command, &operands),
            "cp" | "install" | "ditto" | "gcp" => self.copy(command, &operands),
            "read" => self.read_words(command, &operands),
            "mapfile" | "readarray" => self.read_lines(command),
            "ln" => self.link(command, &operands),
            "tee" => {
                let append = command.has_gnu("-a --append");
                for file in &operands {
                    self.write(file, &Flow { present: true, ..command.stdin.clone() }, append);
                }
            }
            "dd" => self.dd(command),
            "chmod" => self.mode(command, &operands),
            "chown" | "chgrp" => {
                let tree = command.has_gnu("-R --recursive");
                let files = if command.has("--reference") { &operands[..] } else { operands.get(1..).unwrap_or(&[]) };
                self.touch_all(if tree { Effect::ModeTree } else { Effect::Mode }, files);
            }
            "sed" | "gsed" | "perl" | "ruby" => self.edit(command),
            "sort" => {
                if let Some(file) = command.value_of("-o --output") {
                    let same =
                        operands.iter().filter(|word| word.text == file.text).count() > usize::from(command.has("-o"));
                    self.touch(if same { Effect::Edit } else { Effect::Overwrite }, &file);
                }
            }
            "rsync" => self.rsync(command),
            "tar" | "gtar" | "bsdtar" => self.tar(command),
            "cd" | "pushd" | "chdir" => self.change_directory(&operands),
            "split" | "csplit" => {}
            "fallocate" => {}
            _ => {}
        }
    }

    fn remove(&mut self, command: &Command, operands: &[Word]) {
        let tree = command.name != "rmdir" && command.has_gnu("-r -R --recursive");
        if command.has("--no-preserve-root") {
            self.note("delete-root", command.span, Risk::Dangerous, "asks to delete the root itself");
        }
        if command.name == "rmdir" {
            if let Some(word) = operands.first() {
                self.note("delete-file", word.span, Risk::Caution, "removes empty directories");
            }
            return;
        }
        let effect = if tree { Effect::DeleteTree } else { Effect::Delete };
        for word in operands {
            let system = target::classify(&word.text, self.cwd()) == Target::System;
            let wide = system && word.text.contains('*') && !word.text.contains("/log");
            let below = word.text.starts_with("**/") && target::classify(&word.text, self.cwd()) == Target::Here;
            if wide || below {
                self.touch(Effect::DeleteTree, word);
            } else if word.text.contains("/**/") {
                self.touch_found(effect, word);
            } else {
                self.touch(effect, word);
            }
        }
    }

    fn touch_each_write(&mut self, files: &[Word], effect: Effect) {
        for file in files {
            if effect == Effect::Empty {
                self.write(file, &Flow::default(), false);
            } else {
                self.touch(effect, file);
            }
        }
    }

    fn move_files(&mut self, command: &Command, operands: &[Word]) {
        let (sources, into) = match command.value_of("-t --target-directory") {
            Some(into) => (operands, Some(into)),
            None => (operands.split_last().map_or(operands, |(_, sources)| sources), operands.last().cloned()),
        };
        if into.as_ref().is_some_and(|into| into.text == "/dev/null") {
            return self.flag("move-null", command.span);
        }
        self.touch_all(Effect::MoveAway, sources);
        if let Some(into) = into.filter(|_| !sources.is_empty()) {
            self.touch(Effect::CopyOver, &into);
        }
    }

    /// `read x` takes what flows in.
    fn read_words(&mut self, command: &Command, names: &[Word]) {
        let text = command.stdin.text.clone().unwrap_or(UNKNOWN.to_string());
        for name in names {
            self.variables.insert(name.text.clone(), (vec![guessed(&text)], command.stdin.taint));
        }
    }

    /// `mapfile -t x` takes each line that flows in.
    fn read_lines(&mut self, command: &Command) {
        if let Some(code) = command.value_of("-C") {
            self.run_word(&code);
        }
        let Some(name) = command.operands_after("-d -n -O -s -u -C -c").last() else { return };
        let text = command.stdin.text.clone().unwrap_or(UNKNOWN.to_string());
        let lines = text.lines().map(guessed).take(64).collect();
        self.variables.insert(name.text.clone(), (lines, command.stdin.taint));
    }

    fn copy(&mut self, command: &Command, operands: &[Word]) {
        if command.name == "install" && command.value_of("-m --mode").is_some_and(|mode| sets_user_id(&mode.text)) {
            self.flag("set-uid", command.span);
        }
        let Some((into, sources)) = operands.split_last() else { return };
        let into = command.value_of("-t --target-directory").unwrap_or_else(|| into.clone());
        let place = target::classify(&into.text, self.cwd());
        let path = target::normalize(&into.text, self.cwd());
        let keeps = into.text.ends_with('/') || command.has_gnu("-n --no-clobber");
        if sources.iter().any(|word| word.text == "/dev/null") {
            self.touch(Effect::Empty, &into);
        } else if matches!(place, Target::System) || matches!(place, Target::Critical) && path.contains("/sudoers.d") {
            self.note("write-system", into.span, Risk::Caution, "writes into a system directory");
        } else if !keeps {
            self.touch(Effect::CopyOver, &into);
        }
        let secret = sources.iter().any(|word| target::is_secret(&word.text, self.cwd()));
        if secret && place != Target::Credential && !sources.iter().any(|word| word.text.starts_with(".env")) {
            self.flag("copy-secret", command.span);
        }
        let taint = sources.iter().fold(0, |all, word| all | self.read_quiet(word).taint);
        self.files.insert(into.text.clone(), Flow::unseen(taint));
    }

    fn read_quiet(&self, word: &Word) -> Flow {
        self.files.get(&word.text).cloned().unwrap_or_default()
    }

    fn link(&mut self, command: &Command, operands: &[Word]) {
        let (Some(source), Some(into)) = (operands.first(), operands.get(1)) else { return };
        if command.has_gnu("-f --force") {
            self.note("overwrite", into.span, Risk::Caution, "replaces an existing link or file");
            let place = target::classify(&into.text, self.cwd());
            if source.text == "/dev/null" || matches!(place, Target::Critical | Target::History) {
                self.touch(Effect::Overwrite, into);
            }
        }
    }

    fn dd(&mut self, command: &Command) {
        let value = |name: &str| {
            command.args.iter().find_map(|word| word.text.strip_prefix(name).map(|v| Word::new(v, word.span)))
        };
        let Some(into) = value("of=") else { return };
        self.touch(Effect::Overwrite, &into);
        let endless =
            value("if=").is_some_and(|from| matches!(from.text.as_str(), "/dev/zero" | "/dev/urandom" | "/dev/random"));
        if endless && value("count=").is_none() && !into.text.starts_with("/dev/") {
            self.flag("fill-disk", command.span);
        }
    }

    fn mode(&mut self, command: &Command, operands: &[Word]) {
        let tree = command.has_gnu("-R --recursive");
        let dashed = command.args.iter().find(|word| {
            word.text.len() > 1
                && word.text.starts_with('-')
                && word.text[1..].chars().all(|c| "rwxst".contains(c))
                && word.text != "-R"
        });
        let (mode, files) = match (dashed, operands.split_first()) {
            (Some(mode), _) => (mode.text.as_str(), operands),
            (None, Some((mode, files))) => (mode.text.as_str(), files),
            _ => return,
        };
        if files.is_empty() && !command.has("--reference") {
            return;
        }
        if sets_user_id(mode) {
            self.flag("set-uid", command.span);
        }
        for file in files {
            let place = target::classify(&file.text, self.cwd());
            let theirs = matches!(
                place,
                Target::Root | Target::System | Target::Critical | Target::Home | Target::RawDisk | Target::Data
            );
            if tree {
                self.touch(Effect::ModeTree, file);
            } else if theirs && widens(mode) && place == Target::System {
                self.note(
                    "mode-system",
                    file.span,
                    Risk::Dangerous,
                    "opens or closes a system directory or file to others",
                );
            } else if theirs || widens(mode) {
                self.touch(if widens(mode) { Effect::Mode } else { Effect::Edit }, file);
            }
        }
    }

    fn edit(&mut self, command: &Command) {
        let in_place = if command.name == "sed" || command.name == "gsed" {
            command.args.iter().any(|word| {
                word.text.starts_with("-i")
                    || word.text.starts_with("--in-place")
                    || word.is_option()
                        && !word.text.starts_with("--")
                        && word.text.contains('i')
                        && word.text.len() <= 4
            })
        } else {
            command.args.iter().any(|word| {
                word.is_option()
                    && !word.text.starts_with("--")
                    && word.text[1..].starts_with(['i', 'p', 'n', 'l', '0'])
                    && word.text.contains('i')
            })
        };
        if !in_place {
            return;
        }
        let files: Vec<Word> =
            command.operands_after("-e -f").skip(usize::from(!command.has("-e -f"))).cloned().collect();
        let script = command.args.iter().find(|word| !word.is_option()).map_or("", |word| word.text.as_str());
        let wipes = matches!(script, "s/.*//" | "s/.*//g" | "d" | "1,$d" | "s/^.*$//");
        self.written(&files);
        for file in &files {
            let path = target::normalize(&file.text, self.cwd());
            if path.starts_with("/etc/sudoers") {
                self.flag("sudoers", file.span);
            }
            self.touch(if wipes { Effect::Empty } else { Effect::Edit }, file);
        }
        if files.is_empty() {
            self.touch(Effect::Edit, &Word::new("x", command.span));
        }
    }

    fn rsync(&mut self, command: &Command) {
        if command.has_gnu("-n --dry-run --list-only") {
            return;
        }
        let operands: Vec<&Word> = command
            .operands_after("-e --rsh --exclude --include --filter -f --bwlimit --exclude-from --files-from")
            .collect();
        let Some(into) = operands.last().copied() else { return };
        let remote = into.text.split('/').next().is_some_and(|host| host.contains(':'));
        let deletes = command.args.iter().any(|word| word.text.starts_with("--del"));
        let place = target::classify(&into.text, self.cwd());
        if deletes {
            let wide = !remote && !matches!(place, Target::Project | Target::Build | Target::Tmp | Target::Cache);
            self.flag(if wide { "sync-delete-wide" } else { "sync-delete" }, command.span);
        }
        if command.has("--remove-source-files") {
            self.note("move", command.span, Risk::Caution, "deletes the source files after the copy");
        }
        if remote {
            self.send(command, &operands[..operands.len() - 1].iter().map(|w| (*w).clone()).collect::<Vec<_>>());
        } else if operands.len() > 1 && matches!(place, Target::System | Target::Root | Target::Critical) {
            self.note("write-system", into.span, Risk::Caution, "writes into a system directory");
        }
    }

    /// Files go to another machine.
    pub(super) fn send(&mut self, command: &Command, files: &[Word]) {
        let secret = files.iter().any(|word| target::is_private(&word.text, self.cwd()) || word.taint & PRIVATE != 0);
        self.flag(if secret { "send-secret" } else { "send" }, command.span);
    }

    fn tar(&mut self, command: &Command) {
        let first = command.args.first().map_or("", |word| word.text.as_str());
        let letters = first.trim_start_matches('-');
        let bundle = !first.starts_with("--");
        let extracts = bundle && letters.contains('x') || command.has("--extract --get -x");
        let absolute = bundle && letters.contains('P') || command.has("-P --absolute-names");
        if command.has("--remove-files") {
            self.note("delete-file", command.span, Risk::Caution, "deletes the files after packing them");
        }
        if bundle
            && letters.contains('c')
            && letters.contains('f')
            && !first.ends_with('-')
            && let Some(file) = command.args.get(1).filter(|file| file.text != "-")
        {
            self.write(file, &Flow::unseen(0), false);
        }
        if !extracts {
            return;
        }
        let into = command.value_of("-C --directory").map(|word| target::classify(&word.text, self.cwd()));
        let system = matches!(into, Some(Target::Root | Target::System | Target::Critical));
        match (absolute, self.root, into) {
            (true, true, _) | (_, true, Some(Target::Root)) => self.flag("unpack-root", command.span),
            (true, false, _) => self.flag("unpack-absolute", command.span),
            _ if system => self.note("write-system", command.span, Risk::Caution, "unpacks into a system directory"),
            _ if command.has("--overwrite --unlink-first --recursive-unlink") => self.flag("overwrite", command.span),
            _ => {}
        }
    }
}

fn is_key_log(path: &str) -> bool {
    ["wtmp", "btmp", "lastlog", "auth.log", "syslog", "messages", "secure", "audit.log"]
        .iter()
        .any(|log| path.ends_with(log))
}

/// 4755, u+s, +s, g=s.
fn sets_user_id(mode: &str) -> bool {
    if mode.chars().all(|c| c.is_ascii_digit()) {
        return mode.len() == 4 && matches!(mode.as_bytes()[0], b'2' | b'4' | b'6' | b'7' | b'3' | b'5')
            || mode.len() > 4;
    }
    mode.split(',').any(|part| part.split_once(['+', '=']).is_some_and(|(_, bits)| bits.contains('s')))
}

/// Lets others write, or takes every right away.
fn widens(mode: &str) -> bool {
    if mode.chars().all(|c| c.is_ascii_digit()) {
        let zero = !mode.is_empty() && mode.chars().all(|c| c == '0');
        return zero || mode.chars().last().is_some_and(|c| matches!(c, '2' | '3' | '6' | '7'));
    }
    mode.split(',').any(|part| match part.split_once(['+', '=']) {
        Some((who, bits)) => bits.contains('w') && who.contains(['o', 'a']),
        None => part.contains('-') && part.contains(['r', 'x']) && !part.starts_with(['g', 'o']),
    })
}
