//! Drives a real interactive shell on a pseudo-terminal: keys go in, the screen and the edit buffer come out.
//!
//! Every test has a home of its own and a stand-in for the core, a small `sh` script steered by files in that home, so
//! that slow, failing and hostile answers can be forced. Nothing sleeps for a fixed time: each step polls for what it
//! expects, for as long as a loaded machine may need.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cmdai::request::Shell;
use cmdai::shell::init_script;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const PATIENCE: Duration = Duration::from_secs(60);

/// The keys that mean the same in all three shells.
pub(crate) const CTRL_A: &str = "\x01";
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_E: &str = "\x05";
pub(crate) const CTRL_G: &str = "\x07";
pub(crate) const ESC: &str = "\x1b";
pub(crate) const ALT_G: &str = "\x1bg";
pub(crate) const UP: &str = "\x1b[A";
pub(crate) const LEFT: &str = "\x1b[D";
pub(crate) const RIGHT: &str = "\x1b[C";

/// What the core answers where a test does not say otherwise.
pub(crate) const ANSWER: &str = "echo 'an answer'";
pub(crate) const ENTER: &str = "\r";
pub(crate) const UNDO: &str = "\x1f";

/// A chord bound by the tests: empties the edit buffer.
pub(crate) const CLEAR: &str = "\x18k";

type Writer = Arc<Mutex<Box<dyn Write + Send>>>;

/// What differs from a plain start.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    /// Lines of the rc file before and after the integration.
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) args: Vec<&'static str>,
    /// How often the integration is loaded; 0 means once.
    pub(crate) loads: usize,
    /// The real program is the core, and its server is where `XDG_RUNTIME_DIR` is `run` in the home.
    pub(crate) program: bool,
    /// What the shell runs in.
    pub(crate) inside: Inside,
}

/// What stands between a shell and the terminal.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Inside {
    #[default]
    Nothing,
    Tmux,
    Screen,
}

pub(crate) struct Term {
    pub(crate) home: tempfile::TempDir,
    pub(crate) shell: Shell,
    writer: Writer,
    screen: Arc<Mutex<vt100::Parser>>,
    transcript: Arc<Mutex<Vec<u8>>>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
}

impl Term {
    pub(crate) fn new(shell: Shell) -> Self {
        Self::with(shell, Setup::default())
    }

    pub(crate) fn with(shell: Shell, setup: Setup) -> Self {
        let home = tempfile::tempdir().unwrap();
        write_core(home.path());
        let script = if setup.program {
            let socket = crate::scripted::socket(&home.path().join("run"));
            init_script(shell, Path::new(env!("CARGO_BIN_EXE_cmdai")), Some(&socket))
        } else {
            init_script(shell, &home.path().join("core"), Some(&home.path().join("socket")))
        }
        .unwrap();
        fs::write(home.path().join("init"), script).unwrap();
        let command = command(shell, home.path(), &setup);
        let size = PtySize { rows: 24, cols: 100, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let writer: Writer = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(24, 100, 500)));
        let reader = pair.master.try_clone_reader().unwrap();
        let transcript = Arc::default();
        follow(reader, Arc::clone(&screen), Arc::clone(&transcript), Arc::clone(&writer));
        let term = Self { home, shell, writer, screen, transcript, child, master: pair.master };
        term.until("the first prompt", |screen| screen.trim_end().ends_with('%'));
        // The prompt is drawn before the keys are read: the first answer to the chord says that they are.
        assert_eq!(term.buffer(), (String::new(), 0));
        term
    }

    pub(crate) fn send(&self, keys: &str) -> &Self {
        let mut writer = self.writer.lock().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
        drop(writer);
        self
    }

    /// Sends text and waits until the line shows its end.
    pub(crate) fn typed(&self, text: &str) -> &Self {
        self.send(text);
        self.until(text, |screen| screen.contains(text));
        self
    }

    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Everything the terminal received, escape sequences included.
    pub(crate) fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.transcript.lock().unwrap()).into_owned()
    }

    pub(crate) fn until(&self, what: &str, found: impl Fn(&str) -> bool) -> &Self {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if found(&screen) {
                return self;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}; screen:\n{screen}\nlog:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn shows(&self, text: &str) -> &Self {
        self.until(text, |screen| screen.replace('\n', "").contains(text))
    }

    /// Waits for what a widget tells, and for the widget's end: keys sent before it are dropped.
    pub(crate) fn tells(&self, text: &str) -> &Self {
        self.shows(text).buffer();
        self
    }

    pub(crate) fn until_true(&self, what: &str, found: impl Fn() -> bool) -> &Self {
        self.until(what, |_| found())
    }

    /// The edit buffer and the cursor, asked of the shell through a chord bound in the rc file.
    pub(crate) fn buffer(&self) -> (String, usize) {
        let start = Instant::now();
        let _ = fs::remove_file(self.path("dump"));
        // A key can fall into the moment in which the widget still drops keys, so the chord is sent again.
        for tries in 0.. {
            if tries % 50 == 0 {
                self.send("\x18d");
            }
            // One file with an end of its own: a chord that was sent twice may be answered while this is read.
            let dump = self.read("dump");
            if let Some((cursor, text)) = dump.strip_suffix(DUMP_END).and_then(|dump| dump.split_once('\n')) {
                let text = if self.shell == Shell::Fish { text.strip_suffix('\n').unwrap() } else { text };
                return (text.to_owned(), cursor.parse().unwrap());
            }
            assert!(start.elapsed() < PATIENCE, "the shell does not answer; screen:\n{}", self.screen());
            thread::sleep(Duration::from_millis(10));
        }
        unreachable!("the loop ends by itself")
    }

    /// Waits until the buffer is `text`, and says where the cursor is.
    pub(crate) fn holds(&self, text: &str) -> usize {
        let start = Instant::now();
        loop {
            let (buffer, cursor) = self.buffer();
            if buffer == text {
                return cursor;
            }
            assert!(start.elapsed() < PATIENCE, "wanted {text:?}, found {buffer:?}; screen:\n{}", self.screen());
        }
    }

    /// Makes the core answer with these bytes from now on.
    pub(crate) fn answers(&self, bytes: &str) -> &Self {
        fs::write(self.path("answer"), bytes).unwrap();
        self
    }

    /// Makes the core wait, after it has read the request, until [`Term::release`].
    pub(crate) fn hold(&self) -> &Self {
        fs::write(self.path("hold"), "").unwrap();
        self
    }

    pub(crate) fn release(&self) -> &Self {
        fs::remove_file(self.path("hold")).unwrap();
        self
    }

    /// Makes the core that is held write these bytes.
    pub(crate) fn previews(&self, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path("preview.new"), bytes).unwrap();
        fs::rename(self.path("preview.new"), self.path("preview")).unwrap();
        self.until_true("the core to write", || !self.path("preview").exists())
    }

    /// Waits until the core was called `count` times.
    pub(crate) fn asked(&self, count: usize) -> &Self {
        self.until_true("the core to be called", || self.calls() >= count);
        assert_eq!(self.calls(), count);
        self
    }

    pub(crate) fn calls(&self) -> usize {
        self.log().matches("asked").count()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs a command line that leaves a file behind: proof that the shell still works and is done with what came
    /// before it.
    pub(crate) fn still_works(&self) -> &Self {
        // Keys sent while a widget works are dropped.
        self.buffer();
        let _ = fs::remove_file(self.path("alive"));
        self.send(CLEAR).send("echo yes >alive").send(ENTER);
        self.until_true("a command to run", || self.read("alive") == "yes\n")
    }

    /// Runs a command line of the test's and waits until the shell is done with it.
    pub(crate) fn still_works_by(&self, line: &str) -> &Self {
        self.buffer();
        self.send(CLEAR).send(line).send(ENTER).still_works()
    }

    /// The descriptors of the shell's open sockets, seen from outside.
    #[cfg(target_os = "linux")]
    pub(crate) fn sockets(&self) -> Vec<u32> {
        let folder = format!("/proc/{}/fd", self.child.process_id().unwrap());
        let socket = |path: &PathBuf| fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(socket);
        paths.map(|path| path.file_name().unwrap().to_string_lossy().parse().unwrap()).collect()
    }

    pub(crate) fn resize(&self, rows: u16, cols: u16) -> &Self {
        self.screen.lock().unwrap().screen_mut().set_size(rows, cols);
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        self
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Feeds the screen, and answers what shells ask of a terminal (fish 4 waits for its device attributes).
fn follow(
    mut reader: Box<dyn Read + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    transcript: Arc<Mutex<Vec<u8>>>,
    writer: Writer,
) {
    thread::spawn(move || {
        let mut bytes = [0; 8192];
        while let Ok(count @ 1..) = reader.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            screen.lock().unwrap().process(&bytes[..count]);
            transcript.lock().unwrap().extend(&bytes[..count]);
            let mut reply = String::new();
            if text.contains("\x1b[c") || text.contains("\x1b[0c") {
                reply.push_str("\x1b[?62;c");
            }
            if text.contains("\x1b[6n") {
                let (row, column) = screen.lock().unwrap().screen().cursor_position();
                reply.push_str(&format!("\x1b[{};{}R", row + 1, column + 1));
            }
            if !reply.is_empty() {
                let _ = writer.lock().unwrap().write_all(reply.as_bytes());
            }
        }
    });
}

/// The stand-in. `server` only leaves a note. `hold` keeps it waiting, meanwhile it writes what `preview` holds; `flush` lets the real program drop the keys typed meanwhile.
fn write_core(home: &Path) {
    let program = env!("CARGO_BIN_EXE_cmdai");
    let home_text = home.display();
    let script = format!(
        "#!/bin/sh\n\
         cd '{home_text}' || exit\n\
         if [ \"$1\" = server ]; then\n\
         for fd in 0 1 2; do [ ! -t $fd ] || echo terminal >>server; done\n\
         cat >>words; echo \"$*\" >>server; exit\n\
         fi\n\
         trap 'echo stopped >>log; exit 130' INT TERM HUP\n\
         cat >request; env >environ; echo \"$*\" >arguments\n\
         echo asked >>log\n\
         while [ -e hold ]; do\n\
         [ ! -e preview ] || {{ mv preview shown; cat shown; }}\n\
         sleep 0.02 & wait $!\n\
         done\n\
         if [ -e flush ]; then '{program}' widget --shell fish </dev/null >/dev/null 2>&1; fi\n\
         cat answer\n"
    );
    fs::write(home.join("core"), script).unwrap();
    fs::set_permissions(home.join("core"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.join("answer"), format!("0\n\n{ANSWER}")).unwrap();
}

/// Another build of the shell to test: CMDAI_TEST_FISH=/path/to/fish.
pub(crate) fn program(shell: Shell) -> String {
    let variable = format!("CMDAI_TEST_{}", shell.name().to_uppercase());
    std::env::var(variable).unwrap_or_else(|_| shell.name().to_owned())
}

fn command(shell: Shell, home: &Path, setup: &Setup) -> CommandBuilder {
    let mut command = CommandBuilder::new(program(shell));
    let (rc, load, dump) = match shell {
        Shell::Zsh => (home.join(".zshrc"), "eval \"$(<$HOME/init)\"\n", ZSH_DUMP),
        Shell::Bash => (home.join("bashrc"), "eval \"$(<$HOME/init)\"\n", BASH_DUMP),
        Shell::Fish => (home.join(".config/fish/config.fish"), "source $HOME/init\n", FISH_DUMP),
    };
    let prompt = match shell {
        Shell::Zsh => "PS1='%% '; PROMPT_EOL_MARK=\n",
        Shell::Bash => "PS1='% '\n",
        Shell::Fish => "function fish_prompt; echo -n '% '; end; set -g fish_greeting\n",
    };
    fs::create_dir_all(rc.parent().unwrap()).unwrap();
    // Without this folder fish reads every manual page in the background.
    fs::create_dir_all(home.join(".data/fish/generated_completions")).unwrap();
    let loads = load.repeat(setup.loads.max(1));
    fs::write(&rc, format!("{prompt}{}\n{loads}{}\n{dump}", setup.before, setup.after)).unwrap();
    if shell == Shell::Bash {
        command.args(["--noprofile", "--rcfile", rc.to_str().unwrap()]);
    }
    command.args(&setup.args);
    command.arg("-i");
    match setup.inside {
        Inside::Nothing => {}
        Inside::Tmux => command = in_tmux(&command, home),
        Inside::Screen => command = in_screen(&command, home),
    }
    command.cwd(home);
    command.env_clear();
    for (name, value) in [("TERM", "xterm-256color"), ("LC_ALL", "C.UTF-8"), ("PATH", "/usr/local/bin:/usr/bin:/bin")] {
        command.env(name, value);
    }
    for (name, folder) in [
        ("HOME", ""),
        ("ZDOTDIR", ""),
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_DATA_HOME", ".data"),
        ("SCREENDIR", "screens"),
    ] {
        command.env(name, home.join(folder));
    }
    if setup.program {
        command.env("XDG_RUNTIME_DIR", home.join("run"));
    }
    for (name, value) in &setup.env {
        command.env(name, value);
    }
    command
}

/// The shell in a tmux of its own that shows nothing else; it ends with the shell.
fn in_tmux(shell: &CommandBuilder, home: &Path) -> CommandBuilder {
    fs::write(
        home.join("tmux.conf"),
        "set -g status off\nset -s escape-time 0\nset -g default-terminal screen-256color\n",
    )
    .unwrap();
    let mut command = CommandBuilder::new("tmux");
    command.args([
        "-f",
        home.join("tmux.conf").to_str().unwrap(),
        "-S",
        home.join("tmux").to_str().unwrap(),
        "new-session",
    ]);
    command.args(shell.get_argv());
    command
}

/// The shell in a GNU screen of its own, which ends with the shell or the terminal.
fn in_screen(shell: &CommandBuilder, home: &Path) -> CommandBuilder {
    let (conf, sessions) = (home.join("screenrc"), home.join("screens"));
    fs::write(&conf, "autodetach off\nstartup_message off\nmaptimeout 0\nterm screen-256color\n").unwrap();
    fs::create_dir(&sessions).unwrap();
    fs::set_permissions(&sessions, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = CommandBuilder::new("screen");
    command.args(["-U", "-c", conf.to_str().unwrap()]);
    command.args(shell.get_argv());
    command
}

/// Ends what a chord writes: no line holds it.
const DUMP_END: char = '\x1d';

const ZSH_DUMP: &str = r#"
test-dump() {
  emulate -L zsh
  print -rn -- "$CURSOR"$'\n'"$BUFFER"$'\x1d' >$HOME/dump
}
test-clear() { BUFFER= }
zle -N test-dump; zle -N test-clear
for map in emacs viins vicmd; do bindkey -M $map '^Xd' test-dump '^Xk' test-clear; done
"#;

const BASH_DUMP: &str = r#"
test_dump() {
  \builtin printf '%s\n%s\x1d' "$READLINE_POINT" "$READLINE_LINE" >|"$HOME/dump"
}
test_clear() { READLINE_LINE= READLINE_POINT=0; }
for map in emacs-standard vi-insert vi-command; do
  bind -m $map -x '"\C-xd": test_dump'; bind -m $map -x '"\C-xk": test_clear'
done
unset map
"#;

const FISH_DUMP: &str = r#"
function test_dump
    builtin printf '%s\n%s\x1d' (commandline -C) (commandline -b | string collect -N) >$HOME/dump
end
for mode in default insert visual
    bind -M $mode \cxd test_dump; bind -M $mode \cxk 'commandline -r ""'
end
"#;
