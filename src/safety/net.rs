//! Commands whose danger lies in who else is involved: other machines, other processes, packages, accounts.

use super::Risk;
use super::rules::Effect;
use super::target;
use super::walk::{Command, Walker};
use super::word::{Flow, NETWORK, PRIVATE, SHELL, TOKEN, UNKNOWN, Word};

/// Programs that hand a file or what flows in to people or servers elsewhere.
const UPLOADERS: &[&str] = &[
    "gh",
    "glab",
    "gist",
    "pastebinit",
    "croc",
    "wormhole",
    "magic-wormhole",
    "transfer",
    "slack",
    "slack-cli",
    "slackcat",
    "telegram-send",
    "discord",
    "ffsend",
    "ipfs",
    "tftp",
    "lftp",
    "ncftpput",
    "smbclient",
    "az",
    "gcloud",
    "s3cmd",
    "mc",
    "b2",
    "dropbox",
    "dropbox_uploader.sh",
    "keybase",
    "signal-cli",
    "ntfy",
    "termbin",
    "ix",
    "0x0",
    "rz",
    "sz",
    "msmtp",
    "swaks",
    "matrix-commander",
    "mosquitto_pub",
    "websocat",
    "wscat",
    "grpcurl",
    "traceroute",
    "drill",
    "logger",
];

impl Walker {
    /// The commands of this module.
    pub(super) fn network(&mut self, command: &Command) {
        match command.name.as_str() {
            "curl" | "curlie" => self.curl(command),
            "wget" => self.wget(command),
            "http" | "https" | "xh" => self.httpie(command),
            "nc" | "ncat" | "netcat" | "socat" | "telnet" | "openssl" => self.raw_socket(command),
            "scp" => self.scp(command),
            "kill" | "pkill" | "killall" | "skill" => self.kill(command),
            "apt" | "apt-get" | "dpkg" | "yum" | "dnf" | "rpm" | "pacman" | "aptitude" | "zypper" | "apk" => {
                self.packages(command)
            }
            "systemctl" | "service" | "launchctl" => self.service(command),
            "aws" | "gsutil" | "rclone" => self.cloud_copy(command),
            "docker" | "podman" | "kubectl" => self.many(command),
            "chpasswd" => {
                let lines = command.stdin.text.as_deref().unwrap_or_default().lines();
                if lines.into_iter().any(|line| line.starts_with("root:")) {
                    self.flag("grant-admin", command.span);
                }
            }
            name if UPLOADERS.contains(&name) => {
                let secret = command.args.iter().any(|word| {
                    let path = word.text.rsplit(['@', '=']).next().unwrap_or("");
                    word.taint & PRIVATE != 0 || target::is_private(path, self.cwd())
                });
                if secret || command.stdin.taint & PRIVATE != 0 {
                    self.flag("send-secret", command.span);
                }
            }
            "mail" | "mailx" | "mutt" | "sendmail" | "sftp" | "ftp" | "dig" | "nslookup" | "ping" | "host" => {
                let taint = command.args.iter().fold(command.stdin.taint, |taint, word| taint | word.taint);
                if taint & PRIVATE != 0 {
                    self.flag("send-secret", command.span);
                }
            }
            _ => {}
        }
        if matches!(command.name.as_str(), "gh" | "glab") {
            self.api(command);
        }
        self.database(command);
    }

    fn curl(&mut self, command: &Command) {
        let data = "-d --data --data-binary --data-raw --data-urlencode --data-ascii -F --form --form-string --json -T --upload-file";
        let mut secret = false;
        let mut token = false;
        for (at, word) in command.args.iter().enumerate() {
            let previous = if at > 0 { command.args[at - 1].text.as_str() } else { "" };
            let header =
                matches!(previous, "-H" | "--header" | "-u" | "--user" | "-b" | "--cookie" | "--oauth2-bearer");
            let path = word.text.rsplit(['@', '<']).next().unwrap_or("");
            let file = word.text.contains('@') && !header && !word.text.contains("://");
            secret |= word.taint & PRIVATE != 0 && !header;
            secret |= (file || matches!(previous, "-T" | "--upload-file")) && target::is_private(path, self.cwd());
            token |= word.taint & TOKEN != 0
                && !header
                && (data.split(' ').any(|option| option == previous) || word.text.contains("://"));
        }
        let reads_stdin = command
            .args
            .iter()
            .any(|word| matches!(word.text.as_str(), "-" | "@-" | "." | "-T-") || word.text.ends_with("=@-"));
        if secret || token || command.stdin.taint & PRIVATE != 0 && reads_stdin {
            self.flag("send-secret", command.span);
        }
        let method = command.value_of("-X --request").map(|word| word.text.to_ascii_uppercase());
        let get = command.has("-G --get -I --head");
        let body = command.has(data) && !get;
        match method.as_deref() {
            Some("GET" | "HEAD" | "OPTIONS") => {}
            Some("DELETE")
                if command.args.iter().any(|word| word.text.ends_with("/_all") || word.text.ends_with("/*")) =>
            {
                self.flag("remote-delete-all", command.span);
            }
            Some("DELETE") if command.args.iter().any(|word| api_path(&word.text).is_some_and(is_whole)) => {
                self.delete_whole(command);
            }
            Some(_) => self.flag("remote-change", command.span),
            None if body => self.flag("remote-change", command.span),
            None => {}
        }
        let into = command.behind_cluster('o').cloned().or_else(|| command.value_of("-o --output"));
        self.downloaded(command, into, command.has("-O --remote-name"));
    }

    /// A file fetched on this line is remembered, and where it goes is judged.
    fn downloaded(&mut self, command: &Command, into: Option<Word>, by_name: bool) {
        let url = command
            .args
            .iter()
            .find(|word| word.text.contains("://") || word.text.contains('.') && word.text.contains('/'));
        let name = url.and_then(|word| {
            word.text.rsplit('/').next().map(|name| Word::new(name.split('?').next().unwrap_or(name), word.span))
        });
        let Some(file) = into.or(name.filter(|_| by_name)) else { return };
        if file.text != "-" && !file.text.is_empty() {
            self.write(&file, &Flow::unseen(NETWORK), false);
        }
    }

    fn wget(&mut self, command: &Command) {
        let secret = command.args.iter().any(|word| {
            word.taint & (PRIVATE | TOKEN) != 0 && !word.text.starts_with("--header")
                || word
                    .text
                    .strip_prefix("--post-file=")
                    .or(word.text.strip_prefix("--body-file="))
                    .is_some_and(|p| target::is_private(p, self.cwd()))
        });
        if secret || command.value_of("--post-file").is_some_and(|file| target::is_private(&file.text, self.cwd())) {
            self.flag("send-secret", command.span);
        }
        if command.has("--post-data --post-file --body-data --body-file --method") {
            self.flag("remote-change", command.span);
        }
        let into = command.args.iter().find_map(|word| {
            let name = word.text.strip_prefix("--output-document=")?;
            Some(Word { text: name.into(), ..word.clone() })
        });
        let clustered =
            command.args.iter().position(|w| w.is_option() && !w.text.starts_with("--") && w.text.contains('O'));
        let into = into.or_else(|| {
            clustered.and_then(|at| {
                let after = command.args[at].text.split_once('O').map_or("", |(_, rest)| rest);
                if after.is_empty() {
                    command.args.get(at + 1).cloned()
                } else {
                    Some(Word { text: after.into(), ..command.args[at].clone() })
                }
            })
        });
        self.downloaded(command, into, true);
    }

    /// `gh api -X DELETE repos/OWNER/NAME`: all of it, not an object in it.
    fn api(&mut self, command: &Command) {
        let deletes = command.args.iter().any(|word| matches!(word.text.as_str(), "DELETE" | "-XDELETE"));
        if deletes && command.operands().any(|word| is_whole(&word.text)) {
            self.delete_whole(command);
        }
    }

    fn delete_whole(&mut self, command: &Command) {
        self.note("gh-delete", command.span, Risk::Dangerous, "deletes a repository with its issues");
    }

    fn httpie(&mut self, command: &Command) {
        let changes = command
            .operands()
            .any(|word| matches!(word.text.as_str(), "POST" | "PUT" | "PATCH" | "DELETE") || word.text.contains(":="));
        if changes {
            self.flag("remote-change", command.span);
        }
        if command.stdin.taint & PRIVATE != 0 {
            self.flag("send-secret", command.span);
        }
    }

    fn raw_socket(&mut self, command: &Command) {
        let text: String = command.args.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        let openssl = command.name == "openssl" && !text.starts_with("s_client");
        if openssl {
            return;
        }
        let lower = text.to_ascii_lowercase();
        let runs = command.name != "telnet" && command.name != "socat" && command.has("-e --exec --sh-exec -c")
            || lower.contains("exec:")
            || lower.contains("system:");
        let runs = runs && command.name != "openssl";
        if let Some(sent) = command.stdin.text.clone() {
            self.raw_statements(&sent, command.span);
        }
        if runs || command.stdin.taint & SHELL != 0 {
            return self.flag("reverse-shell", command.span);
        }
        let arguments = command.args.iter().fold(0, |taint, word| taint | word.taint);
        if (command.stdin.taint | arguments) & PRIVATE != 0 {
            return self.flag("send-secret", command.span);
        }
        if command.name != "telnet" && command.name != "openssl" && command.has("-l --listen -L") {
            self.flag("listen", command.span);
        } else if command.stdin.present
            && command.stdin.text.as_ref().is_none_or(|text| text.contains(UNKNOWN))
            && command.name != "openssl"
            && !command.has("-z")
        {
            self.flag("send", command.span);
        }
    }

    fn scp(&mut self, command: &Command) {
        let operands: Vec<Word> = command.operands_after("-P -i -o -F -J -c -l -S").cloned().collect();
        let Some((into, sources)) = operands.split_last() else { return };
        if into.text.split('/').next().is_some_and(|host| host.contains(':')) {
            self.send(command, sources);
        } else {
            self.touch(Effect::CopyOver, into);
        }
    }

    fn kill(&mut self, command: &Command) {
        let texts: Vec<&str> = command.args.iter().map(|word| word.text.as_str()).collect();
        if command.name == "kill" {
            let signal = texts.first().copied().unwrap_or("");
            if texts.is_empty()
                || matches!(signal, "-l" | "-L" | "-0" | "--list" | "--table")
                || texts.starts_with(&["-s", "0"])
            {
                return;
            }
            let all = texts.iter().skip(1).any(|text| *text == "-1")
                || texts.contains(&"1") && texts.iter().all(|t| t.starts_with('-') || *t == "1");
            return self.flag(if all { "kill-all" } else { "kill" }, command.span);
        }
        if command.has("-l --list -0 --signal=0") && command.name != "pkill" || texts.is_empty() {
            return;
        }
        let operands: Vec<&Word> =
            command.operands_after("-u -U -s -g -G -t -P --signal --user --euid --uid -o -y").collect();
        let user = command.value_of("-u -U --user --euid --uid").is_some();
        let broad = operands.iter().any(|word| {
            matches!(
                word.text.as_str(),
                "." | ".*"
                    | ""
                    | "^"
                    | "systemd"
                    | "init"
                    | "launchd"
                    | "sshd"
                    | "loginwindow"
                    | "WindowServer"
                    | "Xorg"
                    | "gnome-session"
            )
        });
        let all = broad || user && operands.is_empty() || texts.contains(&"-1");
        self.flag(if all { "kill-all" } else { "kill" }, command.span);
    }

    fn packages(&mut self, command: &Command) {
        const ESSENTIAL: &[&str] = &[
            "libc6",
            "glibc",
            "sudo",
            "systemd",
            "bash",
            "coreutils",
            "apt",
            "dpkg",
            "python3",
            "linux-image",
            "init",
            "libc-bin",
            "util-linux",
            "filesystem",
            "kernel",
            "pacman",
            "rpm",
            "yum",
            "dnf",
            "base",
            "linux",
            "grub-pc",
            "login",
            "passwd",
            "openssh-server",
            "network-manager",
            "musl",
            "busybox",
            "libsystemd0",
            "libstdc++6",
            "perl-base",
        ];
        let removes = command.args.iter().any(|w| {
            matches!(
                w.text.as_str(),
                "remove"
                    | "purge"
                    | "autoremove"
                    | "erase"
                    | "-e"
                    | "-r"
                    | "-P"
                    | "--remove"
                    | "--purge"
                    | "del"
                    | "--erase"
            ) || command.name == "pacman" && w.text.starts_with("-R")
        });
        let dry = command.has("-s --simulate --dry-run --just-print --test");
        let essential = command.operands().any(|word| {
            ESSENTIAL.contains(&word.text.as_str())
                || word.text.starts_with("linux-image-")
                || word.text == "*"
                || word.text == ".*"
        });
        if removes && !dry && (essential || command.has("--allow-remove-essential --force-remove-essential")) {
            self.flag("essential-package", command.span);
        }
    }

    fn service(&mut self, command: &Command) {
        let stops = command.args.iter().any(|word| matches!(word.text.as_str(), "stop" | "disable" | "mask" | "kill"));
        let names = [
            "sshd",
            "ssh",
            "NetworkManager",
            "networking",
            "network",
            "systemd-networkd",
            "dbus",
            "systemd-logind",
            "wpa_supplicant",
            "systemd-resolved",
        ];
        let network =
            command.operands().any(|word| names.contains(&word.text.trim_end_matches(".service")) || word.text == "*");
        if stops && network {
            self.flag("service-network", command.span);
        }
    }

    /// `aws s3 cp`: up, down, or of a secret.
    fn cloud_copy(&mut self, command: &Command) {
        let operands: Vec<Word> = command.operands_after("--profile --region").cloned().collect();
        let copies = operands
            .iter()
            .position(|word| matches!(word.text.as_str(), "cp" | "sync" | "copy" | "copyto" | "mv" | "move"));
        let Some(at) = copies.filter(|_| !command.has("--dryrun --dry-run -n")) else { return };
        let remote = |word: &Word| word.text.contains("://") || word.text.contains(':');
        let paths = &operands[at + 1..];
        if let Some((into, sources)) = paths.split_last() {
            let from_here = sources.iter().any(|word| !remote(word)) || sources.is_empty();
            if remote(into) && (from_here || sources.iter().all(remote)) {
                self.send(command, sources);
                if command.stdin.taint & PRIVATE != 0 {
                    self.flag("send-secret", command.span);
                }
            }
        }
    }

    /// `docker rm -f $(docker ps -aq)`: everything that a list names.
    fn many(&mut self, command: &Command) {
        let removes = command.operands().take(2).any(|word| matches!(word.text.as_str(), "rm" | "delete"));
        let listed = command.args.iter().any(|word| word.unseen());
        if removes && listed && command.args.iter().any(|word| word.is_option() || word.unseen()) {
            self.flag("many-remote", command.span);
        }
        if command.args.iter().any(|word| word.text == "--rm-all") {
            self.note("container-change", command.span, Risk::Caution, "removes containers");
        }
    }
}

/// The path of a request to the interface of GitHub or GitLab.
fn api_path(url: &str) -> Option<&str> {
    let (host, path) = url.split_once("://")?.1.split_once('/')?;
    let path = ["api/v3/", "api/v4/"].iter().find_map(|version| path.strip_prefix(version)).unwrap_or(path);
    (host.starts_with("api.") || url.contains("/api/v")).then_some(path)
}

/// The path names a repository, a project or an organization, not something in it.
fn is_whole(path: &str) -> bool {
    matches!(path.trim_matches('/').split('/').collect::<Vec<_>>()[..], ["repos", _, _] | ["orgs" | "projects", _])
}
