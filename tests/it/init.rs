//! `cmdai init`: what it prints, and what loading it does to a shell that nobody types into.

use std::path::Path;
use std::process::{Command, Output};

use cmdai::request::Shell;
use cmdai::shell::{HELLO, init_script};

use crate::support::TestEnv;

const SHELLS: [Shell; 3] = [Shell::Zsh, Shell::Bash, Shell::Fish];

#[expect(clippy::disallowed_methods, reason = "the real shells are the oracle")]
fn run(program: &str, args: &[&str], home: &Path) -> Output {
    Command::new(program).args(args).env("HOME", home).env("ZDOTDIR", home).current_dir(home).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn script_names_the_program_that_printed_it() {
    let home = tempfile::tempdir().unwrap();
    for shell in SHELLS {
        let script = stdout(&run(env!("CARGO_BIN_EXE_cmdai"), &["init", shell.name()], home.path()));
        assert!(script.contains(env!("CARGO_BIN_EXE_cmdai")) && !script.contains("@CMDAI_BIN@"));
    }
}

#[test]
fn script_names_the_socket_of_the_server_and_how_to_greet_it() {
    for (variables, socket) in [
        ([("XDG_RUNTIME_DIR", "/run/user/7"), ("CMDAI_CACHE_DIR", "/cache")], "/run/user/7/cmdai/server.sock"),
        ([("XDG_RUNTIME_DIR", "relative"), ("CMDAI_CACHE_DIR", "/cache")], "/cache/run/server.sock"),
        ([("XDG_RUNTIME_DIR", ""), ("HOME", "/home/a b")], "/home/a b/.cache/cmdai/run/server.sock"),
    ] {
        let mut env = TestEnv::without_model();
        variables.iter().for_each(|(name, value)| env.set(name, value));
        let script = env.run(&["init", "zsh"]).stdout;
        assert!(script.contains(socket) && script.contains(HELLO), "{script}");
        assert!(env.run(&["init", "fish"]).stdout.contains(socket));
    }
}

#[test]
fn script_without_a_socket_tells_nobody() {
    for (shell, mark) in [(Shell::Zsh, r"__cmdai_socket='\'''\'' "), (Shell::Fish, r"test -n \'\' -a ")] {
        let script = init_script(shell, Path::new("/opt/cmdai"), None).unwrap();
        assert!(script.contains(mark), "{script}");
    }
}

#[test]
fn init_opens_no_settings_and_no_model() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join(".config/cmdai")).unwrap();
    std::fs::write(home.path().join(".config/cmdai/config.toml"), "not = [toml").unwrap();
    for shell in SHELLS {
        stdout(&run(env!("CARGO_BIN_EXE_cmdai"), &["init", shell.name()], home.path()));
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn loading_where_nobody_types_prints_nothing_and_succeeds() {
    let home = tempfile::tempdir().unwrap();
    for (shell, strict) in [
        (Shell::Zsh, &["-f", "-e", "-u", "-o", "pipefail"][..]),
        (Shell::Bash, &["-e", "-u", "-o", "pipefail"][..]),
        (Shell::Bash, &["--posix", "-e", "-u"][..]),
        (Shell::Fish, &["--no-config", "--private"][..]),
    ] {
        std::fs::write(
            home.path().join("init"),
            init_script(shell, Path::new("/opt/cmdai"), Some(Path::new("/run/cmdai"))).unwrap(),
        )
        .unwrap();
        let load = match shell {
            Shell::Fish => "source ./init; or exit 9; functions -a | string match '*cmdai*'; true",
            _ => ". ./init; eval \"$(cat ./init)\"; typeset -f | grep cmdai || :",
        };
        let output = run(shell.name(), &[strict, &["-c", load]].concat(), home.path());
        assert_eq!(stdout(&output), "", "{shell:?}");
    }
}

#[test]
fn syntax_is_accepted_by_the_shell() {
    let home = tempfile::tempdir().unwrap();
    for (shell, file, check) in [
        (Shell::Zsh, "cmdai.zsh", "-n"),
        (Shell::Bash, "cmdai.bash", "-n"),
        (Shell::Fish, "cmdai.fish", "--no-execute"),
    ] {
        let init = home.path().join("init");
        std::fs::write(&init, init_script(shell, Path::new("/opt/cmdai"), Some(Path::new("/run/cmdai"))).unwrap())
            .unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shell").join(file);
        for path in [init, source] {
            stdout(&run(shell.name(), &[check, path.to_str().unwrap()], home.path()));
        }
    }
}

#[test]
fn any_path_of_the_program_survives_quoting() {
    let home = tempfile::tempdir().unwrap();
    for path in [
        "/opt/a b/cmdai",
        "/opt/it's/cmdai",
        "/opt/$HOME/`id`/cmdai",
        "/opt/é 日本/cmdai",
        r"/opt/a\b\'c/cmdai",
        "/opt/\"x\"!y/cmdai",
        "/opt/a\nb/cmdai",
    ] {
        for shell in SHELLS {
            let script = init_script(shell, Path::new(path), None).unwrap();
            // Interactive and without a terminal: loading ends before the key bindings, after the assignment.
            let load = match shell {
                Shell::Bash => format!("set -o emacs; {script}printf %s \"$__cmdai_bin\""),
                Shell::Zsh => format!("setopt zle; {script}printf %s \"$__cmdai_bin\""),
                Shell::Fish => format!("{script}printf %s $__cmdai_bin"),
            };
            std::fs::write(home.path().join("load"), load).unwrap();
            let args = match shell {
                Shell::Bash => vec!["--norc", "-i", "./load"],
                Shell::Zsh => vec!["-f", "-i", "./load"],
                Shell::Fish => vec!["--no-config", "--private", "-i", "./load"],
            };
            let output = run(shell.name(), &args, home.path());
            assert!(String::from_utf8_lossy(&output.stdout).ends_with(path), "{shell:?} {path}: {output:?}");
        }
    }
}

#[test]
fn path_that_is_not_text_is_an_error_with_a_next_step() {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/opt/\xff/cmdai"));
    for shell in SHELLS {
        assert!(init_script(shell, path, None).unwrap_err().next_step().is_some());
    }
}

#[test]
fn suggestion_is_only_ever_assigned() {
    let scripts = [
        include_str!("../../shell/cmdai.zsh"),
        include_str!("../../shell/cmdai.bash"),
        include_str!("../../shell/cmdai.fish"),
    ];
    for script in scripts {
        let code: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        for banned in ["zle -U", "print -P", "echo -e", "zle accept-line", "print -z", "eval \"$answer", "eval $answer"]
        {
            assert!(!code.iter().any(|line| line.contains(banned)), "{banned}");
        }
        // The person's own trap is put back, and what they had bound to Enter is done.
        let own = ["builtin eval \"$interrupt\"", "eval $bound #"];
        let ours = |line: &&&str| line.contains("eval ") && !own.iter().any(|own| line.contains(own));
        assert_eq!(code.iter().find(ours), None);
    }
}

#[test]
fn greeting_in_the_scripts_is_the_protocol_s_own() {
    use cmdai::server::protocol::{Hello, frame};
    assert_eq!(format!("{}\n{HELLO}", HELLO.len()), frame(&Hello::ours()));
}
