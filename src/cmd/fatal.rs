//! The two signals that end a process in the middle of computing: a mapped model file that somebody cuts short (SIGBUS),
//! and C++ or an allocation that gives up (SIGABRT). The person sees a line that says so, and not a core dump.

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

/// Where C++ gives up, ggml would start gdb or lldb to print a backtrace.
fn keep_debuggers_away() {
    // SAFETY: the program has one thread as yet.
    unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") };
}
