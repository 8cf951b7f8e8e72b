//! How many threads to compute with, asked anew for every token.
//!
//! ggml's threads spin while they wait for each other, so one that the system does not run holds up all the others:
//! two threads on two cores, one of them busy with something else, are two to three times slower than one
//! (docs/measurements.md). So we never start more threads than there are cores without work.

use std::{thread, time::Duration};

/// The number of threads, fixed by the user or following the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    most: usize,
    /// Processors of the whole machine, for which the count of runnable tasks is; none where the number is fixed.
    processors: Option<usize>,
}

impl Threads {
    /// Always `count` threads.
    pub fn fixed(count: usize) -> Self {
        Self { most: count.max(1), processors: None }
    }

    /// As many as the machine's `processors` leave idle, at most `cores`, the ones this process may use.
    pub fn following(cores: usize, processors: usize) -> Self {
        Self { most: cores.max(1), processors: Some(processors) }
    }

    /// The number to use now. A process that only passed on what this one computed last is gone at a second look.
    pub fn now(self) -> usize {
        let Some(processors) = self.processors else { return self.most };
        most_of(self.most, || {
            let idle = runnable().map(|runnable| idle_cores(self.most, processors, runnable));
            idle.unwrap_or(self.most)
        })
    }
}

/// Looks at a machine that is busy, taken a few at once: each lasts longer than a client takes to show a token.
const LOOKS: usize = 4;
const BETWEEN_LOOKS: Duration = Duration::from_micros(100);

/// The largest number that `look` gives, until it is `wanted`.
fn most_of(wanted: usize, mut look: impl FnMut() -> usize) -> usize {
    let mut found = look();
    for _ in 1..LOOKS {
        if found >= wanted {
            break;
        }
        thread::sleep(BETWEEN_LOOKS);
        found = found.max(look());
    }
    found
}

/// Of `cores` those that are left when `runnable` tasks, this thread among them, want to run on all `processors`.
fn idle_cores(cores: usize, processors: usize, runnable: usize) -> usize {
    (processors + 1).saturating_sub(runnable).clamp(1, cores)
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
        assert_eq!([1, 2, 3, 9].map(|runnable| idle_cores(2, 2, runnable)), [2, 1, 1, 1]);
        assert_eq!([0, 1, 4, 8, 9].map(|runnable| idle_cores(8, 8, runnable)), [8, 8, 5, 1, 1]);
    }

    #[test]
    fn container_of_two_cores_uses_both_while_its_host_has_idle_ones() {
        assert_eq!([1, 40, 63, 64, 80].map(|runnable| idle_cores(2, 64, runnable)), [2, 2, 2, 1, 1]);
    }

    #[test]
    fn moment_of_other_work_costs_no_thread_but_lasting_work_does() {
        let mut looks = [1, 1, 2, 1].into_iter();
        assert_eq!(most_of(2, || looks.next().unwrap()), 2);
        assert_eq!(looks.len(), 1, "seen idle, it looks no more");
        assert_eq!(most_of(4, || 1), 1);
        let mut looks = [2].into_iter();
        assert_eq!(most_of(2, || looks.next().unwrap()), 2);
    }

    #[test]
    fn fixed_count_is_not_second_guessed() {
        assert_eq!(Threads::fixed(7).now(), 7);
        assert_eq!(Threads::fixed(0).now(), 1);
    }
}
