//! The terminal while a key press is being answered: cancelling, the waiting sign, keys typed too early.
//!
//! zsh and bash wait in a loop of their own and need only the signals and the last flush. fish ends a bound function
//! at Ctrl-C and cannot poll its keys, so for fish the sign and the watch for Esc are here. Whatever happens, the
//! terminal is given back as it was found, by the one method [`Screen::restore`].

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{cli::WidgetArgs, cmd::fatal, config, request::Shell};

/// Before this nothing is drawn: a quick answer should not flicker.
const QUIET: Duration = Duration::from_millis(150);

/// What is drawn as long as there is no preview.
const THINKING: &str = "thinking (Esc cancels)";

/// Takes the row below the line away, and those that a narrowed terminal made of it.
const NO_SIGN: &str = "\x1b7\x0b\r\x1b[J\x1b8";

/// The wait for one answer, from the key press to the last moment of this process.
pub(super) struct Wait {
    screen: Arc<Mutex<Screen>>,
    stream: bool,
}

impl Wait {
    /// Starts to watch for signals, and for fish also for Esc.
    pub(super) fn begin(args: &WidgetArgs) -> Self {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok();
        let mut screen = Screen { terminal, modes: None, sign: false, drawn: false, over: false };
        let keys = if args.shell == Shell::Fish { screen.take_keys() } else { None };
        // That the shell asks for a sign says that the cursor's line is the last one.
        screen.sign = keys.is_some() && args.tty_progress && can_draw();
        let screen = Arc::new(Mutex::new(screen));
        watch_signals(Arc::clone(&screen));
        let last = Arc::clone(&screen);
        fatal::watch(|cause, next_step| format!("1\n{cause}; {next_step}\n"), move |reply| give_up(&last, reply));
        if let Some(keys) = keys {
            watch_keys(keys, Arc::clone(&screen));
        }
        Self { screen, stream: args.stream }
    }

    /// Shows `text`, one visible line, as the answer so far, through the shell or in the place of the sign.
    pub(super) fn preview(&self, text: &str) {
        let mut screen = lock(&self.screen);
        if screen.over || text.is_empty() {
            return;
        }
        if self.stream {
            // A closed pipe: as in `end`.
            let _ = std::io::stdout().write_all(format!("~{text}\n").as_bytes());
        }
        screen.draw(text);
    }

    /// Prints `answer`, takes the sign back, gives the terminal back and, last of all, drops the keys typed meanwhile:
    /// an Enter among them would run an answer that nobody has read.
    pub(super) fn end(self, answer: &str) {
        let mut screen = lock(&self.screen);
        let mut stdout = std::io::stdout().lock();
        // A closed pipe means that the person cancelled: nobody is left to tell.
        let _ = stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush());
        screen.restore();
        screen.drop_keys();
    }
}

/// A panic in the engine must not leave the terminal without echo.
impl Drop for Wait {
    fn drop(&mut self) {
        lock(&self.screen).restore();
    }
}

struct Screen {
    terminal: Option<File>,
    modes: Option<Termios>,
    sign: bool,
    drawn: bool,
    over: bool,
}

impl Screen {
    /// Key by key and without echo, with Ctrl-C still a signal. `None` where there is no terminal to read from.
    fn take_keys(&mut self) -> Option<File> {
        let terminal = self.terminal.as_ref().filter(|terminal| in_foreground(terminal))?;
        let found = tcgetattr(terminal).ok()?;
        let mut modes = found.clone();
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        modes.local_modes.insert(LocalModes::ISIG);
        // A read gives up after a tenth of a second: the watch then looks at the clock.
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = 1;
        let keys = terminal.try_clone().ok()?;
        tcsetattr(terminal, OptionalActions::Now, &modes).ok()?;
        self.modes = Some(found);
        Some(keys)
    }

    /// Makes room below the line without leaving the column (VT, then up), then writes there and comes back.
    fn draw(&mut self, text: &str) {
        let Some(mut terminal) = self.terminal.as_ref().filter(|_| self.sign) else { return };
        let columns = tcgetwinsize(terminal).map_or(0, |size| size.ws_col);
        let row = fit(&format!("cmdai: {text}"), if columns == 0 { 80 } else { columns.into() });
        let _ = terminal.write_all(format!("\x0b\x1b[A\x1b7\x0b\r{row}\x1b[K\x1b8").as_bytes());
        self.drawn = true;
    }

    fn drop_keys(&self) {
        if let Some(terminal) = self.terminal.as_ref().filter(|terminal| in_foreground(terminal)) {
            let _ = tcflush(terminal, QueueSelector::IFlush);
        }
    }

    fn restore(&mut self) {
        self.over = true;
        let Some(mut terminal) = self.terminal.as_ref() else { return };
        if std::mem::take(&mut self.drawn) {
            let _ = terminal.write_all(NO_SIGN.as_bytes());
        }
        if let Some(modes) = self.modes.take() {
            let _ = tcsetattr(terminal, OptionalActions::Now, &modes);
        }
    }
}

/// The start of `text` that fits in a row and leaves its last column free, where terminals disagree about wrapping. What
/// is not ASCII counts as wide.
fn fit(text: &str, columns: usize) -> String {
    let mut width = 0;
    let fits = |c: &char| {
        width += if c.is_ascii() { 1 } else { 2 };
        width < columns
    };
    text.chars().take_while(fits).collect()
}

/// From the background, changing the terminal would stop this process (SIGTTOU), and reading it would too.
fn in_foreground(terminal: &File) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}

fn can_draw() -> bool {
    config::variable("TERM").is_some_and(|term| term != "dumb")
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Without a thread to watch, the answer still comes.
fn beside(watch: impl FnOnce() + Send + 'static) {
    let _ = thread::Builder::new().spawn(watch);
}

fn watch_signals(screen: Arc<Mutex<Screen>>) {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    beside(move || {
        if signals.forever().next().is_some() {
            cancel(&screen);
        }
    });
}

fn watch_keys(mut keys: File, screen: Arc<Mutex<Screen>>) {
    let start = Instant::now();
    beside(move || {
        let mut typed = [0; 256];
        while let Ok(count) = keys.read(&mut typed) {
            // A key such as Up is several bytes that only start with Esc.
            if let [.., b'\x1b' | b'\x07'] = typed[..count] {
                cancel(&screen);
            }
            let mut screen = lock(&screen);
            if screen.over {
                return;
            }
            if !screen.drawn && start.elapsed() >= QUIET {
                screen.draw(THINKING);
            }
        }
    });
}

/// Ends the process without running destructors: the engine's threads may still compute.
fn cancel(screen: &Mutex<Screen>) {
    give_up(screen, "130\n\n");
    signal_hook::low_level::exit(130)
}

/// Gives the terminal back and says `reply`, unless the answer is there.
fn give_up(screen: &Mutex<Screen>, reply: &str) {
    let mut screen = lock(screen);
    if !screen.over {
        screen.drop_keys();
        screen.restore();
        let _ = std::io::stdout().write_all(reply.as_bytes());
        let _ = std::io::stdout().flush();
    }
}

#[cfg(test)]
mod tests {
    use portable_pty::{MasterPty, PtySize, native_pty_system};

    use super::*;

    /// A wait that draws on a terminal of its own, below a line of which `line` is the end.
    struct Terminal {
        wait: Wait,
        file: File,
        output: Box<dyn Read>,
        screen: vt100::Parser,
        master: Box<dyn MasterPty>,
    }

    impl Terminal {
        fn new(rows: u16, cols: u16, line: &str) -> Self {
            let pair = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
            let path = pair.master.tty_name().unwrap();
            let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
            let terminal = Some(file.try_clone().unwrap());
            let screen = Screen { terminal, modes: None, sign: true, drawn: false, over: false };
            let wait = Wait { screen: Arc::new(Mutex::new(screen)), stream: false };
            let output = pair.master.try_clone_reader().unwrap();
            let screen = vt100::Parser::new(rows, cols, 0);
            let mut terminal = Self { wait, file, output, screen, master: pair.master };
            terminal.file.write_all(line.as_bytes()).unwrap();
            terminal
        }

        /// The screen once all that was written has arrived, and the cursor.
        fn shows(&mut self) -> (String, (u16, u16)) {
            self.file.write_all(b"\0").unwrap();
            let mut bytes = [0; 4096];
            loop {
                let count = self.output.read(&mut bytes).unwrap();
                self.screen.process(&bytes[..count]);
                if bytes[..count].ends_with(b"\0") {
                    return (self.screen.screen().contents(), self.screen.screen().cursor_position());
                }
            }
        }
    }

    #[test]
    fn preview_takes_the_place_of_the_sign_below_the_line_and_goes_at_the_end() {
        let mut terminal = Terminal::new(4, 60, "% list é files");
        lock(&terminal.wait.screen).draw(THINKING);
        assert_eq!(terminal.shows().0, "% list é files\ncmdai: thinking (Esc cancels)");
        terminal.wait.preview("find . | wc -l");
        terminal.wait.preview("find .");
        assert_eq!(terminal.shows(), ("% list é files\ncmdai: find .".into(), (0, 14)));
        lock(&terminal.wait.screen).restore();
        assert_eq!(terminal.shows(), ("% list é files".into(), (0, 14)));
    }

    #[test]
    fn preview_stays_in_one_row_of_the_terminal_as_it_is_now() {
        for (rows, cols, text, row) in [
            (4, 20, "find . -type f -name x", "cmdai: find . -type"),
            (2, 20, "echo 日本語日本語", "cmdai: echo 日本語"),
            (4, 5, "find .", "cmda"),
            (2, 1, "find .", ""),
        ] {
            let mut terminal = Terminal::new(rows, 60, "\r\n\n\n%");
            let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
            terminal.master.resize(size).unwrap();
            terminal.screen.screen_mut().set_size(rows, cols);
            terminal.wait.preview(text);
            assert_eq!(terminal.shows().0.trim(), format!("%\n{row}").trim());
        }
    }

    #[test]
    fn preview_after_the_end_is_not_drawn() {
        let mut terminal = Terminal::new(4, 60, "% list");
        lock(&terminal.wait.screen).restore();
        terminal.wait.preview("find .");
        assert_eq!(terminal.shows().0, "% list");
    }

    #[test]
    fn preview_is_not_drawn_where_no_sign_was_asked_for() {
        let mut terminal = Terminal::new(4, 60, "% list");
        lock(&terminal.wait.screen).sign = false;
        terminal.wait.preview("find .");
        assert_eq!(terminal.shows().0, "% list");
    }
}
