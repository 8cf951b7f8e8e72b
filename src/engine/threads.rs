//! How many threads to compute with, asked anew for every token.
//!
//! ggml's threads spin while they wait for each other, so one that the system does not run holds up all the others:
//! two threads on two cores, one of them busy with something else, are two to three times slower than one
//! (docs/measurements.md). So we never start more threads than there are cores without work.

/// The number of threads, fixed by the user or following the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    most: usize,
    fixed: bool,
}

impl Threads {
    /// Always `count` threads.
    pub fn fixed(count: usize) -> Self {
        Self { most: count.max(1), fixed: true }
    }

    /// As many as there are idle cores, at most `cores`.
    pub fn following(cores: usize) -> Self {
        Self { most: cores.max(1), fixed: false }
    }

    /// The number to use now.
    pub fn now(self) -> usize {
        let idle = if self.fixed { None } else { runnable().map(|count| idle_cores(self.most, count)) };
        idle.unwrap_or(self.most)
    }
}

/// Cores left when `runnable` tasks, this thread among them, want to run; this thread counts as ours.
fn idle_cores(cores: usize, runnable: usize) -> usize {
    (cores + 1).saturating_sub(runnable).clamp(1, cores)
}

/// Tasks that are running or want to, on the whole machine: the fourth field of `/proc/loadavg`, 5 us to read.
fn runnable() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().nth(3)?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_busy_cores_alone_and_never_stops_altogether() {
        assert_eq!([1, 2, 3, 9].map(|runnable| idle_cores(2, runnable)), [2, 1, 1, 1]);
        assert_eq!([0, 1, 4, 8, 9].map(|runnable| idle_cores(8, runnable)), [8, 8, 5, 1, 1]);
    }

    #[test]
    fn fixed_count_is_not_second_guessed() {
        assert_eq!(Threads::fixed(7).now(), 7);
        assert_eq!(Threads::fixed(0).now(), 1);
    }
}
