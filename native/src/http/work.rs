//! How much work one answer may make: its decoders, patterns and paths share one budget; `loadflow/engine/protocols/running/work.py` says the same.

use crate::os::socket::thread_cpu_ns;
use crate::plan::outcome::{Failure, Outcome};
use crate::values::words::with_commas;

/// Of the loop's processor, not of the clock: on a busy machine an answer makes no more work than on an idle one.
pub const MOST_WORK_MS: i64 = 1_000;
/// An answer that is smaller, and not encoded, can't make so much: the clock is not asked about it.
pub const LARGE_BYTES: usize = 16 * 1024;

/// The work on one answer.
pub struct Work {
    until_ns: Option<i64>,
    clock: fn() -> i64,
}

impl Work {
    /// `may_cost`: whether the answer is one that can make much work.
    pub fn begin(may_cost: bool) -> Self {
        Self::with_clock(may_cost, thread_cpu_ns)
    }

    fn with_clock(may_cost: bool, clock: fn() -> i64) -> Self {
        Work { until_ns: may_cost.then(|| clock() + MOST_WORK_MS * 1_000_000), clock }
    }

    /// To be asked after each piece of it.
    pub fn check(&self) -> Result<(), Failure> {
        match self.until_ns {
            Some(until_ns) if (self.clock)() > until_ns => {
                let most = with_commas(MOST_WORK_MS as u64);
                Err(Failure::new(Outcome::TooLarge, format!("assertions and extracts took over {most} ms of work with this answer")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

    static NOW_NS: AtomicI64 = AtomicI64::new(5);

    #[test]
    fn an_answer_has_so_much_and_one_that_can_cost_nothing_is_not_timed() {
        let clock = || NOW_NS.load(Relaxed);
        let (large, small) = (Work::with_clock(true, clock), Work::with_clock(false, clock));
        NOW_NS.store(5 + MOST_WORK_MS * 1_000_000, Relaxed);
        assert_eq!(large.check(), Ok(()));
        NOW_NS.fetch_add(1, Relaxed);
        let failure = large.check().unwrap_err();
        let text = "assertions and extracts took over 1,000 ms of work with this answer";
        assert_eq!((failure.outcome, failure.text.as_str()), (Outcome::TooLarge, text));
        assert_eq!(small.check(), Ok(()));
    }
}
