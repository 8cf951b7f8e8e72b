//! While a task line is typed: what the server hears, what is started, and that neither can disturb the shell.

use std::{
    fs,
    io::Read,
    mem,
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex},
    thread,
};

use cmdai::{request::Shell, shell::HELLO};

use crate::pty::{ANSWER, CLEAR, CTRL_A, CTRL_C, CTRL_E, CTRL_G, ENTER, ESC, Setup, Term};

/// What came in, a text per connection that has ended and one for the connection that has not.
#[derive(Clone, Default)]
struct Heard {
    ended: Arc<Mutex<Vec<String>>>,
    open: Arc<Mutex<Vec<u8>>>,
}

impl Heard {
    fn open(&self) -> String {
        String::from_utf8(self.open.lock().unwrap().clone()).unwrap()
    }

    fn ended(&self) -> Vec<String> {
        self.ended.lock().unwrap().clone()
    }

    fn read(&self, mut connection: UnixStream) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = connection.read(&mut bytes) {
            self.open.lock().unwrap().extend(&bytes[..count]);
        }
        let text = mem::take(&mut *self.open.lock().unwrap());
        self.ended.lock().unwrap().push(String::from_utf8(text).unwrap());
    }
}

fn server(term: &Term) -> Heard {
    let heard = Heard::default();
    let (listener, thread_heard) = (UnixListener::bind(term.path("socket")).unwrap(), heard.clone());
    thread::spawn(move || {
        for connection in listener.incoming() {
            thread_heard.read(connection.unwrap());
        }
    });
    heard
}

fn frame(json: &str) -> String {
    format!("{}\n{json}", json.len())
}

fn warm(words: &str) -> String {
    frame(&format!(r#"{{"warm":{{"words":"{words}","shell":"zsh"}}}}"#))
}

/// `text` a key at a time, each drawn before the next.
fn keys(term: &Term, text: &str) {
    for (index, key) in text.char_indices() {
        let mut bytes = [0; 4];
        term.send(key.encode_utf8(&mut bytes));
        let line = &text[..index + key.len_utf8()];
        term.until(line, |screen| screen.replace('\n', "").contains(line.trim_end()));
    }
}

/// The line is all there is to see, it is answered and runs, and nothing of ours is left open.
fn goes_on_as_ever(term: &Term, line: &str) {
    term.holds(line);
    assert_eq!(term.screen().replace('\n', "").trim_end(), format!("% {line}").trim_end());
    term.send(ENTER).shows("an answer").holds(ANSWER);
    term.send(ENTER).until("it to run", |screen| screen.contains("\nan answer"));
    term.still_works();
    assert!(term.sockets().is_empty());
    term.send("clear\r").until("a clear screen", |screen| screen.trim_end() == "%");
}

#[test]
fn zsh_sends_hello_and_the_words_so_far_and_ends_with_the_line() {
    let term = Term::new(Shell::Zsh);
    let heard = server(&term);
    term.send("#").until_true("the hello", || heard.open() == frame(HELLO));
    term.send(" list").until_true("the words", || heard.open().ends_with(&warm("list")));
    // 3 to 9 are the person's.
    assert!(term.sockets()[0] > 9);
    let last = warm(r#"list \"fast\" é \\ files"#);
    term.send(r#" "fast" é \ files"#).until_true("the words", || heard.open().ends_with(&last));
    term.send(CTRL_A).send(CTRL_E).holds(r#"# list "fast" é \ files"#);
    goes_on_as_ever(&term, r#"# list "fast" é \ files"#);
    let [connection] = &heard.ended()[..] else { panic!("{:?}", heard.ended()) };
    // One frame a change, whole and of the stated length.
    let (mut rest, mut frames) = (&connection[..], Vec::new());
    while let Some((length, text)) = rest.split_once('\n') {
        let (json, next) = text.split_at(length.parse().unwrap());
        frames.push(serde_json::from_str::<serde_json::Value>(json).unwrap());
        rest = next;
    }
    assert!(rest.is_empty() && frames.windows(2).all(|pair| pair[0] != pair[1]), "{frames:?}");
    assert!(!term.path("server").exists());
}

#[test]
fn zsh_ends_with_a_line_that_is_given_up_or_becomes_another() {
    let term = Term::new(Shell::Zsh);
    let heard = server(&term);
    for (count, end) in [CTRL_C, CLEAR, "\x01x"].into_iter().enumerate() {
        term.send("# list").until_true("the words", || heard.open().ends_with(&warm("list")));
        term.send(end).until_true("the end", || heard.ended().len() == count + 1);
        term.still_works();
        assert!(term.sockets().is_empty());
    }
}

#[test]
fn zsh_says_nothing_of_other_lines() {
    let term = Term::new(Shell::Zsh);
    let heard = server(&term);
    term.send("echo '# no' #x >out\r").until_true("the line", || term.read("out") == "# no #x\n");
    term.send("cat >out2 <<E\r").shows("heredoc>").send("# list files").shows("# list files").send("\rE\r");
    term.until_true("the here-document", || term.read("out2") == "# list files\n");
    term.send("x=; vared x; print -r -- \"$x\" >out3\r").send("# list files\r");
    term.until_true("vared to end", || term.read("out3") == "# list files\n");
    assert!(heard.open().is_empty() && heard.ended().is_empty() && !term.path("server").exists());
}

#[test]
fn zsh_sends_no_control_characters_and_no_novels() {
    let term = Term::new(Shell::Zsh);
    let heard = server(&term);
    for words in ["a\x16\tb".to_owned(), "é".repeat(500)] {
        term.send("# ").send(&words).send("x").until("the keys", |screen| screen.trim_end().ends_with('x'));
        term.send(CTRL_C).still_works();
    }
    let all = heard.ended().concat();
    assert!(!all.contains('\t') && !all.contains(&"é".repeat(500)), "{all}");
}

#[test]
fn one_variable_switches_it_off() {
    for shell in [Shell::Zsh, Shell::Fish] {
        for name in ["CMDAI_WARM_UP", "CMDAI_SERVER", "CMDAI_COMMENT"] {
            let term = Term::with(shell, Setup { env: vec![(name, "0".into())], ..Setup::default() });
            let heard = server(&term);
            term.typed("# list the files").send(CTRL_G).shows("an answer").holds(ANSWER);
            term.send(CLEAR).send("?? list the files").until("the line", |screen| screen.contains("list the files"));
            assert!(heard.open().is_empty() && heard.ended().is_empty() && !term.path("server").exists());
        }
    }
}

#[test]
fn bash_says_nothing_before_enter() {
    let term = Term::new(Shell::Bash);
    let heard = server(&term);
    term.typed("# list the files").send(ENTER).shows("an answer").holds(ANSWER);
    assert!(heard.open().is_empty() && heard.ended().is_empty() && !term.path("server").exists());
}

#[test]
fn zsh_starts_a_missing_server_once_a_line_and_finds_it_when_it_is_there() {
    let term = Term::new(Shell::Zsh);
    // The socket that a server left behind when it was killed.
    drop(UnixListener::bind(term.path("socket")).unwrap());
    for count in 1..=3 {
        keys(&term, "# list files");
        goes_on_as_ever(&term, "# list files");
        assert_eq!(term.read("server"), "server start\n".repeat(count));
    }
    keys(&term, "# list");
    fs::remove_file(term.path("socket")).unwrap();
    let heard = server(&term);
    term.send(" files").until_true("the words", || {
        heard.open().starts_with(&frame(HELLO)) && heard.open().ends_with(&warm("list files"))
    });
    goes_on_as_ever(&term, "# list files");
    assert_eq!(term.read("server").lines().count(), 4);
}

#[test]
fn zsh_is_not_disturbed_by_a_server_that_hangs_up() {
    let term = Term::new(Shell::Zsh);
    let listener = UnixListener::bind(term.path("socket")).unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    for _ in 0..2 {
        keys(&term, "# list the files");
        goes_on_as_ever(&term, "# list the files");
    }
    keys(&term, "# list");
    fs::remove_file(term.path("socket")).unwrap();
    term.send(" the files");
    goes_on_as_ever(&term, "# list the files");
    assert!(!term.path("server").exists());
}

#[test]
fn zsh_is_not_held_up_by_a_server_that_never_reads() {
    let term = Term::new(Shell::Zsh);
    let _never_accepts = UnixListener::bind(term.path("socket")).unwrap();
    // A frame a key: more than fit into the socket.
    for count in 1..=400 {
        term.send("# x"[..].get(count - 1..count).unwrap_or("x"));
        if count % 4 == 0 {
            term.holds(&format!("# {}", "x".repeat(count - 2)));
        }
    }
    assert_eq!(term.sockets().len(), 1);
    term.send(CLEAR).send("# list files").until_true("the line", || term.buffer().0 == "# list files");
    term.send(ENTER).holds(ANSWER);
    term.still_works();
    assert!(term.sockets().is_empty());
}

#[test]
fn missing_core_is_not_missed_while_typing() {
    for shell in [Shell::Zsh, Shell::Fish] {
        let term = Term::new(shell);
        fs::remove_file(term.path("core")).unwrap();
        keys(&term, "# list the files");
        assert_eq!(term.screen().trim_end(), "% # list the files");
        term.still_works();
    }
}

#[test]
fn zsh_shares_the_hook_with_others() {
    let load = "autoload -Uz add-zle-hook-widget; other() { print -r -- $BUFFER >$HOME/other }";
    let by_hook = format!("{load}; add-zle-hook-widget line-pre-redraw other");
    let by_hand = format!("{load}; zle -N zle-line-pre-redraw other");
    let late = format!("{load}; late() {{ add-zle-hook-widget line-pre-redraw other }}; precmd_functions+=(late)");
    for after in [by_hook, by_hand, late] {
        let term = Term::with(Shell::Zsh, Setup { after, ..Setup::default() });
        term.still_works();
        let heard = server(&term);
        keys(&term, "# list");
        term.until_true("the words", || heard.open().ends_with(&warm("list")) && term.read("other") == "# list\n");
    }
}

/// zsh-syntax-highlighting before 0.8 wraps the hook's own widget; add-zle-hook-widget then makes it call itself.
#[test]
fn zsh_leaves_a_wrapped_hook_alone() {
    let after = "autoload -Uz add-zle-hook-widget; other() { :; }; add-zle-hook-widget line-pre-redraw other
                 zle -N orig-hook ${widgets[zle-line-pre-redraw]#user:}
                 _zsh_highlight_wrapped() { zle orig-hook -- }; zle -N zle-line-pre-redraw _zsh_highlight_wrapped";
    let term = Term::with(Shell::Zsh, Setup { after: after.into(), ..Setup::default() });
    keys(&term, "# list the files");
    goes_on_as_ever(&term, "# list the files");
}

#[test]
fn call_in_the_background_is_no_job_of_the_person() {
    for shell in [Shell::Zsh, Shell::Fish] {
        let term = Term::new(shell);
        let folder = term.home.path().display();
        let core = format!("#!/bin/sh\ncd '{folder}'\necho called >>server\nwhile [ -e hold ]; do sleep 0.1; done\n");
        fs::write(term.path("core"), core).unwrap();
        term.hold().send("#").until_true("the call", || term.read("server") == "called\n");
        term.send(CLEAR).send("jobs >jobs 2>&1\r").still_works();
        assert!(!term.read("jobs").contains("server"), "{}", term.read("jobs"));
        term.release();
    }
}

#[test]
fn zsh_without_the_modules_goes_on() {
    let after = "zmodload() { [[ $* != *zsh/net/socket* ]] && builtin zmodload $* }".to_owned();
    let term = Term::with(Shell::Zsh, Setup { after, ..Setup::default() });
    let heard = server(&term);
    keys(&term, "# list the files");
    goes_on_as_ever(&term, "# list the files");
    assert!(heard.ended().is_empty());
}

fn fish(before: &str, after: &str) -> Term {
    Term::with(Shell::Fish, Setup { before: before.into(), after: after.into(), ..Setup::default() })
}

#[test]
fn fish_starts_the_server_at_the_sign_and_sends_the_words_at_spaces() {
    let term = fish("", "");
    for (count, sign) in ["#", "?? ", "#"].into_iter().enumerate() {
        fs::write(term.path("server"), "").unwrap();
        term.send(sign).until_true("the start", || term.read("server") == "server start\n");
        fs::write(term.path("words"), "").unwrap();
        keys(&term, " ");
        term.typed(r#"list"#).send(" ").until_true("the words", || term.read("words") == "list");
        let calls = "server start\nserver warm --shell fish\n";
        term.until_true("the end of the call", || term.read("server") == calls);
        // Spaces in a burst: the calls may end in any order.
        term.typed(r#""fast" é \ 'x' $HOME -n"#);
        term.until_true("the words", || term.read("words").contains(r#"list "fast" é \ 'x' $HOME"#));
        assert!(term.screen().trim_end().ends_with("-n"));
        term.send(ENTER).asked(count + 1).holds(ANSWER);
        term.send(CLEAR).send("clear\r").until("a clear screen", |screen| screen.trim_end() == "%");
    }
    assert!(!term.read("server").contains("terminal"));
}

#[test]
fn fish_keeps_its_space_and_its_sign_on_other_lines() {
    let term = fish("", "abbr zz 'echo zed >out'");
    for line in ["", "# list the files\r"] {
        term.send(line).send(CLEAR).holds("");
        fs::write(term.path("server"), "").unwrap();
        term.send("zz ").holds("echo zed >out ");
        term.send(CLEAR).send("echo '# a  b' #c").holds("echo '# a  b' #c");
        term.send(CLEAR).send("bind --user >bound\r").still_works();
        assert!(!term.read("bound").contains("__cmdai_space"), "{}", term.read("bound"));
        assert_eq!(term.read("server"), "");
    }
}

#[test]
fn fish_leaves_keys_that_are_taken_alone() {
    let term = fish("", "bind ' ' 'commandline -i _'; bind '#' 'commandline -i %'");
    term.send("# a b").holds("%_a_b");
    let term = fish("bind ' ' 'commandline -i _'", "");
    term.send("# a b").holds("#_a_b");
    term.until_true("the start", || term.read("server") == "server start\n");
    assert_eq!(term.read("words"), "");
}

#[test]
fn fish_vi_mode_keeps_its_own_sign() {
    let term = fish("fish_vi_key_bindings", "");
    term.send("# list the files").until_true("the words", || term.read("words").contains("list the"));
    term.send(ESC).shows("[N]").send("#").holds(" list the files");
    assert_eq!(term.read("server").matches("start").count(), 1);
}

#[test]
fn fish_read_builtin_is_not_listened_to() {
    let term = fish("", "function ask; read --prompt-str 'ask> ' x; echo $x >out; end");
    // From the prompt, the keys of a task line are still bound.
    for line in ["#", ""] {
        term.send(line).send(CLEAR).holds("");
        term.send("ask\r").shows("ask>");
        fs::write(term.path("server"), "").unwrap();
        term.send("# list all of it\r").until_true("read to end", || term.read("out") == "# list all of it\n");
        assert_eq!(term.read("server"), "");
        fs::remove_file(term.path("out")).unwrap();
        term.send("clear\r").until("a clear screen", |screen| screen.trim_end() == "%");
    }
}
