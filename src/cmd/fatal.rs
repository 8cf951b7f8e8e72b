//! What ends a process, or a request, where no error could be returned: a panic, and
//! the two signals that end a process in the middle of computing: a mapped model file that somebody cuts short (SIGBUS),
//! and C++ or an allocation that gives up (SIGABRT). The person sees a line that says so, and not a core dump.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::PanicHookInfo,
};

use signal_hook::{
    consts::{SIGABRT, SIGBUS},
    low_level::{exit, register},
};

/// What each of them means here, and the next step.
const CAUSES: [(i32, &str, &str); 2] = [
    (SIGBUS, "the model's file was cut short while it was being read", "run cmdai model verify"),
    (
        SIGABRT,
        "the engine gave up; most likely it ran out of memory",
        "free some memory, or set CMDAI_LOG=error to see why",
    ),
];

/// Has `end` called with what `text` makes of the cause and the next step. It runs in a signal's handler, on a thread that
/// computes: no lock is that thread's, and so none that `end` takes is waited for in vain.
pub(crate) fn watch(text: impl Fn(&str, &str) -> String, end: impl Fn(&str) + Clone + Send + Sync + 'static) {
    keep_debuggers_away();
    for (signal, cause, next_step) in CAUSES {
        let (text, end) = (text(cause, next_step), end.clone());
        let act = move || {
            end(&text);
            exit(1)
        };
        // SAFETY: the handler allocates nothing, and does not return to what it interrupted. Without it the process ends
        // all the same.
        let _ = unsafe { register(signal, act) };
    }
}

/// The same for a command that has nothing to give back: the line and the hint on stderr.
pub(crate) fn report() {
    watch(
        |cause, next_step| format!("cmdai: {cause}\nhint: {next_step}\n"),
        |text| {
            let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
        },
    );
}

/// Has a panic say where it was and not what with: its message may hold words of a request, and a server's goes to a log.
pub(crate) fn keep_panics_brief() {
    std::panic::set_hook(Box::new(|panic| super::note(&brief(panic))));
}

fn brief(panic: &PanicHookInfo) -> String {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => format!("\n{backtrace}"),
        _ => String::new(),
    };
    format!("cmdai: internal error at {place}\nhint: report this line; it holds none of your words{backtrace}")
}

/// Where C++ gives up, ggml would start gdb or lldb to print a backtrace.
fn keep_debuggers_away() {
    // SAFETY: the program has one thread as yet.
    unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") };
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn panic_names_its_place_and_none_of_the_words() {
        let said = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&said);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| *kept.lock().unwrap() = brief(panic)));
        let words = "é xyzzyplugh".to_owned();
        let outcome = std::panic::catch_unwind(|| words[1..].len());
        std::panic::set_hook(before);
        assert!(outcome.is_err());
        let said = said.lock().unwrap();
        assert!(said.starts_with(concat!("cmdai: internal error at ", file!())), "{said}");
        assert!(!said.contains("xyzzyplugh"), "{said}");
    }
}
