//! zsh beside the plugins that people have, in both load orders, and loaded by plugin managers. Debian has most of
//! them; what oh-my-zsh, antidote and zinit do while loading is reproduced.

use std::path::Path;

use cmdai::request::Shell;

use crate::pty::{ALT_G, CLEAR, CTRL_A, CTRL_E, CTRL_G, ENTER, RIGHT, Setup, Term, UNDO};

const SUGGESTIONS: &str = "/usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh";
const HIGHLIGHTING: &str = "/usr/share/zsh-syntax-highlighting/zsh-syntax-highlighting.zsh";
const FZF: &str = "/usr/share/doc/fzf/examples/key-bindings.zsh";
const POWERLEVEL: &str = "/usr/share/powerlevel9k/powerlevel9k.zsh-theme";
const LIQUIDPROMPT: &str = "/usr/share/liquidprompt/liquidprompt";
const ANTIGEN: &str = "/usr/share/zsh-antigen/antigen.zsh";
const ZPLUG: &str = "/usr/share/zplug/init.zsh";

/// A line of an rc file that loads `path`, which must be there.
fn load(path: &str) -> String {
    assert!(Path::new(path).exists(), "{path} is missing: tests/run --setup gets its package");
    format!("source {path}\n")
}

fn with(before: String, after: String) -> Term {
    Term::with(Shell::Zsh, Setup { before, after, ..Setup::default() })
}

fn without_note(term: &Term, line: &str) {
    term.holds(line);
    term.until("no note", |screen| !screen.contains("deletes"));
}

/// All that a person does with us, on a terminal where other plugins are loaded.
fn goes_through(term: &Term) {
    // What zsh-autosuggestions will propose.
    term.send("echo rm and more\r").until("it to run", |screen| screen.contains("\nrm and more"));
    term.answers("0\ndangerous: deletes\necho rm").send("list files").send(CTRL_G).asked(1).holds("echo rm");
    term.shows("cmdai: dangerous: deletes");
    term.send(CTRL_A).send(CTRL_E).send(RIGHT);
    assert!(["echo rm", "echo rm and more"].contains(&&*term.buffer().0), "{:?}", term.buffer());
    term.send(CLEAR).holds("");
    term.until("no note", |screen| !screen.contains("deletes"));

    term.send("list files").send(CTRL_G).asked(2).holds("echo rm");
    term.answers("0\ncaution: deletes\necho two").send(CTRL_G).asked(3).holds("echo two");
    assert!(term.read("arguments").contains("--candidate 2"));
    term.shows("cmdai: caution: deletes").send(UNDO);
    without_note(term, "list files");

    term.send(CLEAR).send("# list files\r").asked(4).holds("echo two");
    term.shows("cmdai: caution: deletes").answers("0\nsafe\necho  deletes nothing").send(ALT_G).asked(5);
    term.tells("echo  deletes nothing").send("x").holds("echo twox");
    without_note(term, "echo twox");
    term.send(ENTER).until("it to run", |screen| screen.contains("\ntwox"));
    term.send("echo 1 >>once\r").still_works();
    assert_eq!(term.read("once"), "1\n");
    assert!(!term.screen().contains("cmdai") && !term.screen().contains("deletes"), "{}", term.screen());
}

/// `plugins` before us, after us, and, where they are two, around us.
fn in_every_order(plugins: &[String]) {
    for first in 0..=plugins.len() {
        goes_through(&with(plugins[..first].concat(), plugins[first..].concat()));
    }
}

#[test]
fn beside_autosuggestions_and_syntax_highlighting() {
    let (suggestions, highlighting) = (load(SUGGESTIONS), load(HIGHLIGHTING));
    in_every_order(&[suggestions.clone(), highlighting.clone()]);
    in_every_order(&[highlighting, suggestions]);
}

#[test]
fn beside_autosuggestions_that_rebinds_once() {
    in_every_order(&["ZSH_AUTOSUGGEST_MANUAL_REBIND=1\n".to_owned() + &load(SUGGESTIONS)]);
}

#[test]
fn beside_fzf() {
    in_every_order(&[load(FZF)]);
    let term = with(load(FZF), String::new());
    term.answers("0\ndangerous: deletes\necho rm ").typed("list files").send(CTRL_G).asked(1).holds("echo rm ");
    // Its file finder takes the screen and puts what was chosen on the line.
    std::fs::write(term.path("needle"), "").unwrap();
    term.send("\x14").until("fzf", |screen| screen.contains("needle")).send("needle").shows("> needle").send(ENTER);
    without_note(&term, "echo rm needle ");
    term.still_works();
}

#[test]
fn beside_prompts_that_draw_much() {
    // The tests wait for a prompt that ends so.
    let end = "end-prompt() { PS1+='%% ' }; precmd_functions+=(end-prompt)\n";
    for (path, options) in [(POWERLEVEL, "POWERLEVEL9K_PROMPT_ON_NEWLINE=true\n"), (LIQUIDPROMPT, "")] {
        in_every_order(&[format!("{options}{}{end}", load(path))]);
    }
}

/// Keeps the rc file from loading us, and lays a program `cmdai` and a plugin's folder out as managers want them.
fn plugin(loading: &str) -> Term {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/shell/cmdai.plugin.zsh");
    let before = format!(
        "eval() {{ :; }}; mkdir -p ~/.local/bin ~/repo ~/custom/plugins/cmdai
         print -r -- $'#!/bin/sh\\ncat \"$HOME/init\"' >~/.local/bin/cmdai; chmod +x ~/.local/bin/cmdai
         cp '{file}' ~/repo; cp '{file}' ~/custom/plugins/cmdai"
    );
    with(before, format!("unfunction eval\n{loading}"))
}

#[test]
fn loaded_by_antigen() {
    let bundle = "antigen bundle ~/repo --no-local-clone; antigen apply";
    // It calls compinit at the first prompt, and that takes a chord of the tests.
    let chord = "chord() { bindkey '^Xd' test-dump }; precmd_functions+=(chord)";
    goes_through(&plugin(&format!("ADOTDIR=~/.antigen\n{}{bundle}\n{chord}\n", load(ANTIGEN))));
}

#[test]
fn loaded_by_zplug() {
    let loading = format!("ZPLUG_HOME=~/.zplug\n{}zplug ~/repo, from:local\nzplug load\n", load(ZPLUG));
    goes_through(&plugin(&loading));
}

/// lib/key-bindings.zsh of oh-my-zsh comes first, with hooks made by hand; then the plugins by name.
#[test]
fn loaded_as_oh_my_zsh_does() {
    let library = "zmodload zsh/terminfo
        function zle-line-init() { echoti smkx }; function zle-line-finish() { echoti rmkx }
        zle -N zle-line-init; zle -N zle-line-finish; bindkey -e; setopt prompt_subst interactivecomments
        autoload -U compaudit compinit; compinit -u; alias _='sudo ' -='cd -' ...=../..";
    let plugins = "ZSH_CUSTOM=~/custom; plugins=(cmdai)
        for plugin ($plugins); do source $ZSH_CUSTOM/plugins/$plugin/$plugin.plugin.zsh; done";
    goes_through(&plugin(&format!("{library}\n{plugins}\n")));
}

/// antidote writes a file that sources; zinit sources from a function, with functions over bindkey and zle meanwhile.
#[test]
fn loaded_as_antidote_and_zinit_do() {
    goes_through(&plugin("fpath+=( ~/repo ); source ~/repo/cmdai.plugin.zsh\n"));
    let shadow =
        "setopt no_short_loops; load() { emulate -LR zsh; setopt extended_glob warn_create_global typeset_silent
        bindkey() { builtin bindkey \"$@\" }; zle() { builtin zle \"$@\" }
        builtin source ~/repo/cmdai.plugin.zsh; unfunction bindkey zle }; load";
    goes_through(&plugin(shadow));
}

#[test]
fn plugin_finds_the_program_where_it_is_installed_and_is_quiet_but_for_a_notice_without_it() {
    for folder in [".cargo/bin", "elsewhere"] {
        let find = format!(
            "mkdir -p ~/{folder}; mv ~/.local/bin/cmdai ~/{folder}/; path+=(~/elsewhere); rehash
             source ~/repo/cmdai.plugin.zsh"
        );
        plugin(&find).send("# list files\r").asked(1).holds("echo 'an answer'");
    }
    let term = plugin("rm ~/.local/bin/cmdai; path=(/usr/bin /bin); source ~/repo/cmdai.plugin.zsh 2>err || : >failed");
    assert_eq!(term.read("err").lines().count(), 1, "{}", term.read("err"));
    assert!(term.read("err").starts_with("cmdai: not found on PATH") && !term.path("failed").exists());
}
