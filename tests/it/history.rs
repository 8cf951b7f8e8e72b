//! Asks bash and zsh whether a protected command means, with history expansion on, what the bare one means without.

use std::io::Write;
use std::process::{Command, Stdio};

use cmdai::request::Shell;
use cmdai::shell::protect_history;

/// Each prints something, so that a changed word shows. History holds `touch RAN`.
const COMMANDS: &[&str] = &[
    "echo a!tou",
    r#"echo "a!tou""#,
    r#"echo "hi!""#,
    "echo hi!",
    "echo 'a!tou'",
    r"echo \!tou",
    r#"echo "a\!tou""#,
    "! false; echo $?",
    "echo !=x a!=b",
    "sleep 0 & wait $!; echo x",
    r#"sleep 0 & wait "$!"; echo b"#,
    "echo !tou",
    "echo !!",
    r#"echo "!!""#,
    r#"echo "it's !tou""#,
    "echo $'a!tou'",
    "echo a^b",
    "echo !; echo x",
    r#"echo "a!;b""#,
    "(echo a!)",
    r#"echo "a!$HOME""#,
    "echo !$",
    "echo !#",
    r"echo $'it\'s !tou'",
    r#"echo "$(echo !tou)""#,
    "echo `echo !tou`",
    "[[ ! -e x ]]; echo $?",
    "[ x != y ] && echo ne",
    "if ! false; then echo ok; fi",
    r#"echo "a! b""#,
    "printf 'a\na\n' | awk '!seen[$0]++'",
    r##"echo "#!/bin/sh""##,
    r#"echo "!""#,
    r#"echo "x!"y"#,
    r#"echo "x!" y!tou"#,
    r#"echo !"tou""#,
    r"echo a\\!tou",
    r#"echo "a\\!tou""#,
    "cat <<< !tou",
    "echo {a,!tou}",
    "echo a!|cat",
    "echo a!>/dev/stdout",
    "cat <(echo !tou)",
    "echo $((!0))",
    "echo $((! 0))",
    "((!0)) && echo y",
    "echo !-1",
    "echo '!?ou'",
    r#"echo "a!'b""#,
    r#"echo "$(echo '!tou')""#,
    r#"echo "$(echo "a!tou")""#,
    r"echo it\'s !tou",
    r#"echo "a" "b!""#,
    r#"x="!"; echo $x"#,
    r#"echo "\"!tou""#,
    r#"echo "don't!" '!tou'"#,
    "echo [!a]b*; echo *[!a]",
    r#"echo "[!a]""#,
    "echo \"a!\" && ! false && echo b!c",
    "case a in !) echo no;; a) echo a!b;; esac",
    "echo a!,b!:c",
    "echo http://x/!x?y=!z",
    r#"echo "${x:-a}!tou" "${#x}!""#,
    "echo ${x:-!tou}",
    "! (false) && echo ok",
];

#[test]
fn bash_runs_what_is_shown() {
    let differing = differing(Shell::Bash);
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn zsh_runs_what_is_shown() {
    let differing = differing(Shell::Zsh);
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// `!(` is a negated subshell only in bash.
#[test]
fn negated_subshell_is_told_from_a_pattern() {
    for (given, wanted) in [("!(false)", "! (false)"), ("a && !(b)", "a && ! (b)"), ("ls !(a)", "ls !(a)")] {
        assert_eq!(protect_history(given, Shell::Bash).unwrap(), wanted);
    }
    assert_eq!(protect_history("ls !(a)", Shell::Zsh).unwrap(), "ls !(a)");
}

#[test]
fn expansion_that_no_quoting_stops_is_refused() {
    for command in ["^a^b", r#"echo "${x:-!tou}""#, "cat <<E\n!tou\nE"] {
        for shell in [Shell::Bash, Shell::Zsh] {
            assert!(protect_history(command, shell).is_err(), "{command}");
        }
    }
    assert!(protect_history("cat <<E\nno bang\nE", Shell::Bash).is_ok());
}

#[test]
fn names_of_variables_and_fish_are_left_alone() {
    for command in ["echo ${!x} ${!HOME*}", "kill $!", r#"wait "$!""#, "echo [!a]*"] {
        assert_eq!(protect_history(command, Shell::Bash).unwrap(), command);
    }
    assert_eq!(protect_history("echo \"hi!!\" ^a", Shell::Fish).unwrap(), "echo \"hi!!\" ^a");
}

fn differing(shell: Shell) -> Vec<String> {
    let mut differing = Vec::new();
    for command in COMMANDS {
        let Ok(protected) = protect_history(command, shell) else {
            differing.push(format!("{command}: refused"));
            continue;
        };
        let plain = output(shell, false, command);
        let live = output(shell, true, &protected);
        if plain != live {
            differing.push(format!("{command} as {protected}: {plain:?} but {live:?}"));
        }
    }
    differing
}

/// What `command` prints, typed after `touch RAN` with history expansion on, or without history.
#[expect(clippy::disallowed_methods, reason = "the real shells are the oracle")]
fn output(shell: Shell, live: bool, command: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let (args, before) = match (shell, live) {
        (Shell::Bash, true) => (&["--norc"][..], "set -o history; set -H"),
        (Shell::Zsh, true) => {
            (&["-f", "-i", "-o", "no_prompt_sp", "-o", "no_prompt_cr"][..], "HISTSIZE=100; unsetopt monitor")
        }
        (Shell::Zsh, false) => (&["-f"][..], ":"),
        _ => (&["--norc"][..], ":"),
    };
    let mut child = Command::new(shell.name())
        .args(args)
        .current_dir(&home)
        .env_clear()
        .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/home/x"), ("PS1", ""), ("PS2", "")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    write!(stdin, "{before}\ntouch RAN\n{command}\n").unwrap();
    drop(stdin);
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}
