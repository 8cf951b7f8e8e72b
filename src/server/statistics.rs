//! What `cmdai server status` tells: counts, times, memory. Nothing of what was asked.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Times kept for the percentiles.
const KEPT: usize = 1024;

/// Counts since the start.
pub(super) struct Statistics {
    pub(super) start: Instant,
    pub(super) requests: Cell<u64>,
    pub(super) failed: Cell<u64>,
    times: RefCell<VecDeque<f64>>,
}

impl Default for Statistics {
    fn default() -> Self {
        Self { start: Instant::now(), requests: Cell::new(0), failed: Cell::new(0), times: RefCell::default() }
    }
}

impl Statistics {
    /// Counts an answered request that took `time` in the server.
    pub(super) fn answered(&self, time: Duration) {
        self.requests.set(self.requests.get() + 1);
        let mut times = self.times.borrow_mut();
        if times.len() == KEPT {
            times.pop_front();
        }
        times.push_back(time.as_nanos() as f64 / 1e6);
    }

    pub(super) fn failed(&self) {
        self.failed.set(self.failed.get() + 1);
    }

    /// The time in milliseconds that the share `part` of the kept requests did not exceed; 0 of none.
    pub(super) fn percentile(&self, part: f64) -> f64 {
        percentile(&mut self.times.borrow().iter().copied().collect::<Vec<_>>(), part)
    }
}

/// The one of `values` that the share `part` of them does not exceed; 0 of none. Leaves them sorted.
pub fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (part * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Resident memory of this process in bytes, the second field of `/proc/self/statm`; 0 where there is none.
pub(super) fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    resident.unwrap_or_default() * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_latest_requests() {
        let statistics = Statistics::default();
        assert_eq!(statistics.percentile(0.5), 0.0);
        for time in (1..=2000).chain(1001..=1024) {
            statistics.answered(Duration::from_millis(time));
        }
        // Kept: 1001 to 2000 and 1001 to 1024 again.
        assert_eq!((statistics.percentile(0.5), statistics.percentile(0.95)), (1488.0, 1949.0));
        assert_eq!(statistics.requests.get(), 2024);
    }
}
