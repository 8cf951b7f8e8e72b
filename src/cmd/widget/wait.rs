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
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcgetpgrp, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{config, request::Shell};

/// Before this nothing is drawn: a quick answer should not flicker.
const QUIET: Duration = Duration::from_millis(150);

/// Makes room below the line without leaving the column (VT, then up), then writes there and comes back.
const SIGN: &str = "\x0b\x1b[A\x1b7\x0b\rcmdai: thinking (Esc cancels)\x1b[K\x1b8";
const NO_SIGN: &str = "\x1b7\x0b\r\x1b[K\x1b8";

/// The wait for one answer, from the key press to the last moment of this process.
pub(super) struct Wait {
    screen: Arc<Mutex<Screen>>,
}

impl Wait {
    /// Starts to watch for signals, and for fish also for Esc; `sign` says that the cursor's line is the last one.
    pub(super) fn begin(shell: Shell, sign: bool) -> Self {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok();
        let mut screen = Screen { terminal, modes: None, drawn: false, over: false };
        let keys = if shell == Shell::Fish { screen.take_keys() } else { None };
        let screen = Arc::new(Mutex::new(screen));
        watch_signals(Arc::clone(&screen));
        if let Some(keys) = keys {
            watch_keys(keys, sign && can_draw(), Arc::clone(&screen));
        }
        Self { screen }
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

    fn draw(&mut self) {
        let Some(mut terminal) = self.terminal.as_ref().filter(|_| !self.drawn) else { return };
        self.drawn = terminal.write_all(SIGN.as_bytes()).is_ok();
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

fn watch_signals(screen: Arc<Mutex<Screen>>) {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            cancel(&screen);
        }
    });
}

fn watch_keys(mut keys: File, sign: bool, screen: Arc<Mutex<Screen>>) {
    let start = Instant::now();
    thread::spawn(move || {
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
            if sign && start.elapsed() >= QUIET {
                screen.draw();
            }
        }
    });
}

/// Ends the process without running destructors: the engine's threads may still compute.
fn cancel(screen: &Mutex<Screen>) {
    let mut screen = lock(screen);
    if !screen.over {
        screen.drop_keys();
        screen.restore();
        let _ = std::io::stdout().write_all(b"130\n\n");
        let _ = std::io::stdout().flush();
    }
    signal_hook::low_level::exit(130)
}
