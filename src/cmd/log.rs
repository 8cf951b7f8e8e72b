//! The log: off unless `CMDAI_LOG` asks for a level; on stderr; never holds the text of a request or an answer.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    sync::OnceLock,
};

use rustix::fs::{fstat, ftruncate};
use tracing::level_filters::LevelFilter;

use crate::config;

/// Most bytes of a server's log; then it begins anew.
const MAX_LOG: u64 = 5_000_000;

/// What a server's log begins with, where stderr is one.
static FIRST_LINE: OnceLock<String> = OnceLock::new();

/// Starts the log at the level of `CMDAI_LOG` (`error`, `warn`, `info`, `debug`, `trace`).
pub fn start() {
    let Some(wanted) = config::variable("CMDAI_LOG") else { return };
    let Ok(level) = wanted.parse::<LevelFilter>() else {
        return super::note(&format!(
            "cmdai: CMDAI_LOG: wanted off, error, warn, info, debug or trace, found {wanted:?}"
        ));
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(|| Log).with_ansi(false).init();
}

/// Says that stderr is a server's log, which nobody else cuts: from now on it keeps to its size.
pub(super) fn limit(first_line: String) {
    let _ = FIRST_LINE.set(first_line);
}

struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if let Some(first_line) = FIRST_LINE.get() {
            // A log that cannot be cut is still one.
            let _ = begin_anew(&mut stderr, first_line);
        }
        stderr.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn begin_anew(log: &mut (impl Write + AsFd), first_line: &str) -> io::Result<()> {
    if fstat(&*log)?.st_size as u64 >= MAX_LOG {
        ftruncate(&*log, 0)?;
        log.write_all(first_line.as_bytes())?;
    }
    Ok(())
}
