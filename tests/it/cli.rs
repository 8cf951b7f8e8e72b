//! The program as a person or a script calls it, on the real model: stdout, stderr, exit codes.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    gguf_builder::Builder,
    support::{self, Outcome, TestEnv},
};

#[test]
fn words_become_the_command_alone_on_stdout() {
    let env = TestEnv::with_model();
    for args in [&["find", "files", "larger", "than", "10", "MB"][..], &["find files larger than 10 MB"][..]] {
        let Outcome { code, stdout, stderr } = env.run(args);
        assert_eq!((code, stdout.as_str()), (0, "find . -type f -size +10M\n"), "{stderr}");
        assert_eq!(stderr, "safe\n");
    }
}

#[test]
fn request_is_read_from_stdin_when_no_words_are_given() {
    let outcome = TestEnv::with_model().run_with_stdin(&[], b"find files larger than 10 MB\n");
    assert_eq!(outcome.stdout, "find . -type f -size +10M\n", "{}", outcome.stderr);
}

#[test]
fn json_holds_command_risk_and_timing() {
    let outcome = TestEnv::with_model().run(&["suggest", "--json", "--shell", "zsh", "find files larger than 10 MB"]);
    let object: serde_json::Value = serde_json::from_str(&outcome.stdout).expect(&outcome.stdout);
    assert_eq!(object["command"], "find . -type f -size +10M");
    assert_eq!(object["risk"], "safe");
    assert!(object["timing"]["prefill_ms"].as_f64().unwrap() > 0.0);
    assert!(object["timing"]["decoded_tokens"].as_u64().unwrap() > 5);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn alternatives_differ_and_begin_with_the_likeliest() {
    let outcome = TestEnv::with_model().run(&["suggest", "--alternatives", "3", "show disk usage of each folder here"]);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let distinct: std::collections::HashSet<&&str> = lines.iter().collect();
    assert!((2..=3).contains(&lines.len()), "{lines:?}");
    assert_eq!(distinct.len(), lines.len(), "{lines:?}");
    let single = TestEnv::with_model().run(&["show disk usage of each folder here"]);
    assert_eq!(single.stdout.trim_end(), lines[0]);
}

#[test]
fn explain_says_why_and_where_the_time_went_on_stderr() {
    let outcome = TestEnv::with_model().run(&["--explain", "delete the file notes.txt"]);
    assert_eq!(outcome.stdout, "rm notes.txt\n");
    assert!(outcome.stderr.starts_with("caution: "), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("prefill"), "{}", outcome.stderr);
}

#[test]
fn each_bad_request_is_one_clear_line_with_a_hint_and_its_code() {
    let env = TestEnv::without_model();
    let long = "x".repeat(100_000);
    let cases: [(&[&str], &[u8], i32, &str); 9] = [
        (&[""], b"", 2, "the request is empty"),
        (&[], b"", 2, "the request is empty"),
        (&[], b" \n ", 2, "the request is empty"),
        (&[], long.as_bytes(), 2, "the request is too long: 100000 bytes, at most 8192"),
        (&[&long], b"", 2, "the request is too long: 100000 bytes, at most 8192"),
        (&[], b"list\0files", 2, "the request holds the control character U+0000"),
        (&["list \x1b[31mfiles"], b"", 2, "the request holds the control character U+001B"),
        (&[], b"list \xff\xfe", 2, "the request is not UTF-8"),
        (&["list files"], b"", 1, "model qwen2.5-coder-1.5b is not on this machine yet"),
    ];
    for (args, stdin, code, message) in cases {
        let outcome = env.run_with_stdin(args, stdin);
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{args:.40?}: {}", outcome.stderr);
        assert_eq!(lines[0], format!("cmdai: {message}"), "{args:.40?}");
        assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{lines:?}");
    }
}

#[test]
fn usage_errors_exit_with_2_and_say_how_to_go_on() {
    let env = TestEnv::without_model();
    for (args, hint) in [
        (&["--frobnicate", "x"][..], "put -- before"),
        (&["suggest", "--shell", "tcsh", "x"][..], "possible values"),
        (&["suggest", "--alternatives", "0", "x"][..], "0"),
        (&["init", "a", "git", "repo"][..], "cmdai suggest"),
        (&["check", "disk", "space"][..], "cmdai suggest"),
        (&["-rf", "files"][..], "put -- before"),
        (&["--engine", "cuda", "--model", "/nonexistent.gguf", "x"][..], "hint: "),
    ] {
        let outcome = env.run(args);
        assert!(outcome.code == 2 || outcome.code == 1, "{args:?}: {}", outcome.stderr);
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("cmdai: "), "{args:?}: {lines:?}");
        assert!(lines[1].starts_with("hint: ") && outcome.stderr.contains(hint), "{args:?}: {lines:?}");
    }
    let outcome = env.run(&["suggest", "--shell", "tcsh", "x"]);
    assert!(!outcome.stderr.contains("begins with a command's name"), "{}", outcome.stderr);
}

#[test]
fn unknown_engine_is_refused_with_the_choices_before_a_model_is_asked_for() {
    let env = TestEnv::without_model();
    for args in [&["--engine", "cuda", "list files"][..], &["doctor", "--engine", "cuda"]] {
        let outcome = env.run(args);
        let said = outcome.stdout + &outcome.stderr;
        assert!(said.contains("engine \"cuda\" is unknown") && said.contains("choose one of: "), "{args:?}: {said}");
        assert!(outcome.code != 0 && (args[0] == "doctor" || !said.contains("model")), "{args:?}: {said}");
    }
    assert_eq!(env.run(&["--engine", "cuda", "list files"]).code, 2);
}

#[test]
fn unknown_login_shell_is_named_and_a_flag_helps() {
    let mut env = TestEnv::without_model();
    env.set("SHELL", "/usr/bin/tcsh");
    let outcome = env.run(&["list files"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("/usr/bin/tcsh") && outcome.stderr.contains("--shell"), "{}", outcome.stderr);
    // Debian's containers set none, and its system accounts have these: their commands are bash's.
    for shell in ["", "/bin/sh", "/usr/bin/dash"] {
        env.set("SHELL", shell);
        assert!(env.run(&["list files"]).stderr.contains("not on this machine yet"), "{shell}");
    }
}

#[test]
fn every_broken_config_of_the_table_is_one_line_that_names_the_file_and_the_line() {
    let table = include_str!("../data/broken-configs.tsv").lines().filter(|line| !line.starts_with('#'));
    let mut kinds = 0;
    for row in table {
        let cells: Vec<&str> = row.splitn(3, '\t').collect();
        let [kind, line, text] = cells.as_slice() else { panic!("three cells wanted: {row}") };
        let text = support::decode(text);
        let mut env = TestEnv::without_model();
        let path = env.home().join("config.toml");
        fs::write(&path, &text).unwrap();
        env.set("CMDAI_CONFIG", path.to_str().unwrap());
        let wanted = format!("could not read {}: line {line}: ", path.display());
        for args in [&["list files"][..], &["model", "list"]] {
            let Outcome { code, stdout, stderr } = env.run(args);
            assert!(matches!(code, 1 | 2) && stdout.is_empty(), "{row}: {code} {stdout}");
            let lines: Vec<&str> = stderr.lines().collect();
            assert!(lines[0].starts_with(&format!("cmdai: {wanted}")), "{row}: {stderr}");
            assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{kind}: {stderr}");
        }
        let widget = env.run_with_stdin(&["widget", "--shell", "zsh"], b"list files");
        assert!(widget.stdout.starts_with(&format!("1\n{wanted}")), "{row}: {}", widget.stdout);
        assert_eq!((widget.stdout.lines().count(), widget.stderr.as_str()), (2, ""), "{row}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{row}");
        assert_eq!(fs::read_dir(env.home()).unwrap().count(), 1, "nothing is written: {row}");
        kinds += 1;
    }
    assert!(kinds >= 60, "{kinds}");
}

#[test]
fn config_that_is_no_file_is_not_waited_for() {
    let mut env = TestEnv::without_model();
    for path in ["/dev/zero", "/dev/tty", "/"] {
        env.set("CMDAI_CONFIG", path);
        let outcome = env.run(&["list files"]);
        assert_eq!(outcome.code, 1, "{path}");
        assert!(outcome.stderr.starts_with(&format!("cmdai: could not read {path}: ")), "{}", outcome.stderr);
    }
}

#[test]
fn hostile_text_cannot_speak_to_the_terminal_through_an_error() {
    let env = TestEnv::without_model();
    let hostile = "a\u{1b}]0;title\u{7}\u{202e}";
    let path = format!("./{hostile}.gguf");
    for args in
        [["--model", &path, "x"], ["--shell", hostile, "x"], ["--engine", hostile, "x"], ["model", "path", &path]]
    {
        let outcome = env.run(&args);
        assert_ne!(outcome.code, 0);
        assert!(!outcome.stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{args:?}: {:?}", outcome.stderr);
    }
}

#[test]
fn help_is_help_and_not_a_request() {
    let outcome = TestEnv::without_model().run(&["help"]);
    assert_eq!(outcome.code, 0);
    assert!(outcome.stdout.contains("Exit codes:"), "{}", outcome.stdout);
}

#[test]
fn flag_beats_environment_beats_config() {
    let mut env = TestEnv::without_model();
    let path = env.home().join("config.toml");
    fs::write(&path, "model = \"from-config\"\ncolour = \"red\"\nlog = \"debug\"\n").unwrap();
    env.set("CMDAI_CONFIG", path.to_str().unwrap());
    let report = env.run(&["doctor"]).stdout;
    assert!(report.contains(&format!("from-config, set by {}", path.display())), "{report}");
    assert!(report.contains("unknown key \"colour\""), "{report}");
    // Only CMDAI_LOG sets the log.
    assert!(report.contains("unknown key \"log\""), "{report}");
    env.set("CMDAI_MODEL", "from-environment");
    assert!(env.run(&["doctor"]).stdout.contains("from-environment, set by environment CMDAI_MODEL"));
    assert!(env.run(&["doctor", "--model", "from-flag"]).stdout.contains("from-flag, set by flag"));
}

#[test]
fn doctor_tells_machine_engine_model_and_is_content_when_all_is_well() {
    let outcome = TestEnv::with_model().run(&["doctor"]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    for word in [std::env::consts::ARCH, "llama.cpp", "verified", "cores", "default"] {
        assert!(outcome.stdout.contains(word), "{word}: {}", outcome.stdout);
    }
    let without = TestEnv::without_model().run(&["doctor"]);
    assert_eq!(without.code, 1);
    assert!(without.stdout.contains("! file"), "{}", without.stdout);
}

#[test]
fn doctor_says_of_each_engine_whether_it_is_built_in() {
    let report = TestEnv::without_model().run(&["doctor"]).stdout;
    let line = |what: &str| report.lines().find_map(|line| line.strip_prefix(&format!("  {what:<10} "))).unwrap();
    let gpu = cfg!(all(target_os = "macos", target_arch = "aarch64"));
    let llama = match (cfg!(feature = "llama"), gpu) {
        (true, true) => "built in, computes on the GPU",
        (true, false) => "built in, computes on the CPU",
        (false, _) => "not built in: built without the feature llama",
    };
    assert_eq!(line("llama.cpp"), llama);
    assert_eq!(line("remote"), "built in, used only where it is asked for by name");
    if !gpu && !cfg!(feature = "mlx-linux") {
        assert_eq!(line("mlx"), "not built in: it is for Apple Silicon");
    }
}

#[test]
fn version_names_the_engines_built_in() {
    let outcome = TestEnv::without_model().run(&["--version"]);
    assert_eq!(outcome.code, 0);
    assert!(outcome.stdout.starts_with(concat!("cmdai ", env!("CARGO_PKG_VERSION"), " (")), "{}", outcome.stdout);
    assert!(outcome.stdout.split(';').next().unwrap().contains("llama.cpp"), "{}", outcome.stdout);
}

#[test]
fn help_documents_exit_codes_and_goes_to_stdout() {
    let outcome = TestEnv::without_model().run(&["--help"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert!(outcome.stdout.contains("3 no command could be made, 130 interrupted"));
    assert!(outcome.stdout.contains("never runs a command"));
}

#[test]
fn completions_are_accepted_by_their_shells() {
    let env = TestEnv::without_model();
    for (shell, check) in [("bash", &["bash", "-n"][..]), ("zsh", &["zsh", "-n"]), ("fish", &["fish", "--no-execute"])]
    {
        let script = env.run(&["completions", shell]).stdout;
        assert!(script.contains("alternatives"), "{shell}");
        let file = env.home().join(shell);
        fs::write(&file, script).unwrap();
        assert!(env.shell(check, &file).status.success(), "{shell}");
    }
}

#[test]
fn unwritable_store_and_broken_model_files_are_clear_errors() {
    let env = TestEnv::without_model();
    let file = env.home().join("broken.gguf");
    fs::write(&file, b"GGUF\x03\0\0\0\xff\xff\xff\xff").unwrap();
    let outcome = env.run(&["--model", file.to_str().unwrap(), "list files"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    assert!(outcome.stderr.contains("broken.gguf"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

#[test]
fn full_disk_on_stdout_is_an_error_and_a_closed_pipe_is_not() {
    let env = TestEnv::without_model();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let outcome = env.run_to(&["--version"], full.into());
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("could not write to stdout"), "{}", outcome.stderr);
    for args in [&["--version"][..], &["init", "zsh"], &["completions", "zsh"], &["model", "list"], &["check", "ls"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let outcome = env.run_to(args, writer.into());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn pull_whose_stderr_takes_nothing_fails_without_a_panic() {
    let mut env = TestEnv::without_model();
    for (name, value) in [("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", "http://127.0.0.1:9"), ("CMDAI_PYTHON", "false")] {
        env.set(name, value);
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = env.command(support::CMDAI).args(["model", "pull"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn model_that_cannot_be_pulled_is_not_offered_to_be() {
    let env = TestEnv::without_model();
    for (model, message) in [
        ("./nosuch.gguf", "cmdai: could not open model: ./nosuch.gguf: no such file"),
        ("nosuch", "cmdai: unknown model nosuch"),
    ] {
        for args in [&["--model", model, "list files"][..], &["model", "path", model], &["model", "verify", model]] {
            let outcome = env.run(args);
            let lines: Vec<&str> = outcome.stderr.lines().collect();
            assert!(lines.len() == 2 && lines[0] == message && !lines[1].contains("pull"), "{args:?}: {lines:?}");
        }
    }
}

#[test]
fn request_cut_off_inside_a_character_is_too_long_and_not_called_other_than_utf_8() {
    let words = format!("x{}", "é".repeat(100_000));
    let outcome = TestEnv::without_model().run_with_stdin(&[], words.as_bytes());
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.starts_with("cmdai: the request is too long: "), "{}", outcome.stderr);
}

#[test]
fn request_does_not_read_the_token_of_the_hub() {
    let mut env = TestEnv::without_model();
    let token = env.home().join("token");
    assert!(env.command("mkfifo").arg(&token).status().unwrap().success());
    let home = env.home().to_str().unwrap().to_owned();
    env.set("HF_HOME", &home);
    let read = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&read);
    // Opens when somebody reads, else waits until the tests end.
    std::thread::spawn(move || {
        let pipe = fs::OpenOptions::new().write(true).open(token);
        seen.store(true, Ordering::SeqCst);
        drop(pipe);
    });
    assert_eq!(env.run_with_stdin(&["widget", "--shell", "bash"], b"list files").code, 3);
    assert!(!read.load(Ordering::SeqCst));
}

#[test]
fn level_of_the_log_that_is_none_is_said() {
    let mut env = TestEnv::without_model();
    env.set("CMDAI_LOG", "loud");
    let outcome = env.run(&["model", "list"]);
    let wanted = "cmdai: CMDAI_LOG: wanted off, error, warn, info, debug or trace, found \"loud\"\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, wanted));
}

#[test]
fn special_tokens_in_a_request_are_plain_text() {
    let words = "search for <|im_end|> in notes.txt";
    let outcome = TestEnv::with_model().run(&[words]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("<|im_end|>"), "{}", outcome.stdout);
}

#[test]
fn request_text_is_not_in_the_log() {
    let mut env = TestEnv::with_model();
    env.set("CMDAI_LOG", "trace");
    let outcome = env.run(&["list files that begin with xyzzyplugh"]);
    assert!(outcome.stderr.contains("opening"), "the log is on: {}", outcome.stderr);
    assert!(!outcome.stderr.contains("xyzzyplugh"), "{}", outcome.stderr);
}

/// Debian's qemu-user stands in for an old processor: built for AVX2 or more, the program must say so and not die of an
/// illegal instruction.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn processor_without_the_instruction_sets_of_the_build_is_refused_by_name() {
    let env = TestEnv::with_model();
    let nehalem = |args: &[&str]| -> Outcome {
        let mut command = env.command("qemu-x86_64");
        command
            .args(["-cpu", "Nehalem", support::CMDAI])
            .args(args)
            .output()
            .expect("qemu-x86_64 runs: tests/run gets it")
            .into()
    };
    let outcome = nehalem(&["list files"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""), "{}", outcome.stderr);
    assert!(
        outcome.stderr.starts_with("cmdai: this processor lacks what this cmdai was built for: avx, "),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("hint: run ./install.sh"), "{}", outcome.stderr);
    let doctor = nehalem(&["doctor"]);
    assert!(doctor.stdout.contains("! processor"), "{}", doctor.stdout);
}

#[test]
fn removed_model_takes_what_engines_kept_of_it_along() {
    let mut env = TestEnv::without_model();
    env.set("CMDAI_CACHE_DIR", &env.home().join("cache").display().to_string());
    let file = env.home().join("mine.gguf");
    fs::write(&file, Builder::valid(0).bytes()).unwrap();
    let added = env.run(&["model", "add", file.to_str().unwrap()]);
    let sha256 = added.stdout.split_whitespace().nth(1).expect("name and digest");
    let files = |model: &str| {
        [format!("cache/mlx/{model}-f32-v1.safetensors"), format!("cache/prefix/{model}-0.state")]
            .map(|file| env.home().join(file))
    };
    let (own, other) = (files(sha256), files("0123"));
    for file in own.iter().chain(&other) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "made of a model").unwrap();
    }
    let removed = env.run(&["model", "remove", "mine"]);
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert!(own.iter().all(|file| !file.exists()) && other.iter().all(|file| file.exists()));
}

/// What a run with `--json` says of the tokens that it did not compute, and its command.
fn cached_tokens(outcome: &Outcome) -> (u64, String) {
    let object: serde_json::Value = serde_json::from_str(&outcome.stdout).expect(&outcome.stderr);
    (object["timing"]["cached_tokens"].as_u64().expect("a number"), object["command"].to_string())
}

#[test]
fn two_first_requests_at_once_leave_one_prefix_and_the_third_uses_it() {
    let mut env = TestEnv::with_model();
    env.set("CMDAI_CACHE_DIR", &env.home().join("cache").display().to_string());
    let args = ["suggest", "--json", "find files larger than 10 MB"];
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| cached_tokens(&env.run(&args)));
        (cached_tokens(&env.run(&args)), one.join().unwrap())
    });
    assert_eq!(one.1, two.1);
    let files = || fs::read_dir(env.home().join("cache/prefix")).unwrap().count();
    assert_eq!(files(), 1);
    let (cached, command) = cached_tokens(&env.run(&args));
    assert!(cached > 150 && command == one.1, "{cached} {command}");
    assert_eq!(files(), 1);
}

#[test]
fn prefix_that_cannot_be_written_costs_no_answer() {
    let mut env = TestEnv::with_model();
    env.set("CMDAI_CACHE_DIR", &env.home().join("cache").display().to_string());
    // To write a file beyond this limit would be the end of the process.
    let limited = "ulimit -f 1000; exec \"$0\" \"$@\"";
    let args = ["-c", limited, support::CMDAI, "suggest", "--json", "find files larger than 10 MB"];
    let outcome = Outcome::from(env.command("sh").args(args).output().expect("sh runs"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert_eq!(cached_tokens(&outcome), (0, "\"find . -type f -size +10M\"".into()));
    assert_eq!(fs::read_dir(env.home().join("cache/prefix")).unwrap().count(), 0);
}

#[test]
fn model_to_use_is_written_into_the_settings_and_the_rest_stays() {
    let mut env = TestEnv::with_model();
    let file = env.home().join("config.toml");
    env.set("CMDAI_CONFIG", file.to_str().unwrap());
    let write = |text: &str| fs::write(&file, text).unwrap();
    for (before, after) in [
        ("", "model = \"smollm2-135m\"\n"),
        ("# mine\nthreads = 1\n", "model = \"smollm2-135m\"\n# mine\nthreads = 1\n"),
        (
            "threads = 1\nmodel= 'x'\n[remote]\nmodel = \"y\"\n",
            "threads = 1\nmodel = \"smollm2-135m\"\n[remote]\nmodel = \"y\"\n",
        ),
    ] {
        write(before);
        let Outcome { code, stdout, stderr } = env.run(&["model", "use", "smollm2-135m"]);
        assert_eq!((code, stdout), (0, format!("{}\n", file.canonicalize().unwrap().display())), "{stderr}");
        assert_eq!(fs::read_to_string(&file).unwrap(), after);
    }
    let odd = "'model' = 'x'\n";
    write(odd);
    for (name, said) in [("smollm2-135m", "could not be changed"), ("qwen2.5-coder-7b", "is not on this machine yet")] {
        let Outcome { code, stderr, .. } = env.run(&["model", "use", name]);
        assert!(code == 1 && stderr.contains(said), "{stderr}");
        assert_eq!(fs::read_to_string(&file).unwrap(), odd);
    }
}

#[test]
fn question_of_fact_gets_a_line_and_no_command() {
    let mut env = TestEnv::with_model();
    let words = "what is the capital of france";
    let Outcome { code, stdout, stderr } = env.run(&[words]);
    assert_eq!((code, stdout.as_str()), (3, ""), "{stderr}");
    assert!(stderr.starts_with("cmdai: no command could be made: that is no task for a command"), "{stderr}");
    env.set("CMDAI_SECOND_LOOK", "0");
    let Outcome { code, stdout, stderr } = env.run(&[words]);
    assert!(code == 0 && !stdout.is_empty() && stderr.contains("not sure it is right"), "{stdout}{stderr}");
}
