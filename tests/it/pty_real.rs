//! The whole way in each shell: the printed integration, the real program, the real model.

use cmdai::request::Shell;

use crate::{
    pty::{CLEAR, CTRL_C, CTRL_G, ENTER, Setup, Term, UNDO},
    support::{CMDAI, model, models_dir},
};

const SHELLS: [Shell; 3] = [Shell::Zsh, Shell::Bash, Shell::Fish];

/// A shell that has loaded what `cmdai init` prints, after the stand-in core that the driver always loads.
fn shell(shell: Shell, models: &str) -> Term {
    let load = match shell {
        Shell::Fish => format!("'{CMDAI}' init fish | source\n"),
        _ => format!("eval \"$('{CMDAI}' init {})\"\n", shell.name()),
    };
    let env = vec![
        ("CMDAI_MODELS_DIR", models.to_owned()),
        ("HF_HUB_OFFLINE", "1".to_owned()),
        ("CMDAI_SERVER", "0".to_owned()),
    ];
    Term::with(shell, Setup { after: load, env, ..Setup::default() })
}

fn with_model(name: Shell) -> Term {
    model("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
    shell(name, models_dir().to_str().expect("a UTF-8 path"))
}

#[test]
fn words_and_ctrl_g_become_the_model_s_command_and_undo_brings_them_back() {
    for name in SHELLS {
        let term = with_model(name);
        term.typed("find files larger than 10 MB").send(CTRL_G);
        let cursor = term.holds("find . -type f -size +10M");
        assert_eq!(cursor, "find . -type f -size +10M".len(), "{name:?}");
        term.send(UNDO);
        term.holds("find files larger than 10 MB");
    }
}

#[test]
fn task_line_and_enter_become_a_command_that_a_second_enter_runs() {
    for name in SHELLS {
        let term = with_model(name);
        term.typed("# create an empty file called made.txt").send(ENTER);
        term.holds("touch made.txt");
        assert!(!term.path("made.txt").exists(), "{name:?}: it ran before it was read");
        term.send(ENTER).until_true("the second Enter runs it", || term.path("made.txt").exists());
    }
}

#[test]
fn risky_suggestion_comes_with_its_word() {
    for name in SHELLS {
        let term = with_model(name);
        term.typed("delete the file notes.txt").send(CTRL_G);
        term.holds("rm notes.txt");
        term.shows("caution: ");
    }
}

#[test]
fn cancelling_a_real_computation_gives_the_line_back() {
    for name in SHELLS {
        let term = with_model(name);
        let words = "explain with one very long pipeline how to count every word of every file here";
        term.typed(words).send(CTRL_G);
        term.shows("thinking").send(CTRL_C);
        term.until("the sign goes", |screen| !screen.contains("thinking"));
        term.holds(words);
        term.send(CLEAR).still_works();
    }
}

#[test]
fn missing_model_is_one_line_that_says_what_to_do_and_the_line_stays() {
    for name in SHELLS {
        let term = shell(name, "/nonexistent/models");
        term.typed("list files").send(CTRL_G);
        term.shows("not on this machine yet").shows("cmdai model pull");
        term.holds("list files");
    }
}
