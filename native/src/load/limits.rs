//! Retries and throttles: pure rules over numbers.

use crate::plan::outcome::{Failure, Outcome};
use crate::plan::status::grpc_name;
use crate::plan::{Retry, ThrottlePlan};

pub const TRANSIENT: usize = 0;
pub const FLAKY: usize = 1;
pub const PERMANENT: usize = 2;

/// As `loadflow/engine/reliability/classify.py` has them.
const GRPC_TRANSIENT: [&str; 4] = ["ABORTED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"];
const GRPC_FLAKY: [&str; 3] = ["DATA_LOSS", "INTERNAL", "UNKNOWN"];

/// Transient: the way to the target or its load. Flaky: the answer was wrong. Permanent: asking again changes nothing.
pub fn failure_class(failure: &Failure, status: u16, transient: &[u16]) -> usize {
    let named = grpc_name(status).unwrap_or_default();
    match failure.outcome {
        Outcome::Status | Outcome::Assertion if GRPC_TRANSIENT.contains(&named) => TRANSIENT,
        Outcome::Status if GRPC_FLAKY.contains(&named) => FLAKY,
        Outcome::Status if !named.is_empty() => PERMANENT,
        Outcome::Status | Outcome::Assertion if transient.contains(&status) => TRANSIENT,
        Outcome::Status if status >= 500 => FLAKY,
        Outcome::Dns | Outcome::Connect | Outcome::Timeout | Outcome::Closed | Outcome::Dropped => TRANSIENT,
        Outcome::Assertion | Outcome::Extract | Outcome::Protocol => FLAKY,
        _ => PERMANENT,
    }
}

impl Retry {
    /// Seconds until the next attempt, or None when this class's budget is used up: then nothing is drawn. `used`: retries made so
    /// far; `draw`: uniform in [0, 1).
    pub fn delay_s(&self, used: &[u32; 3], class: usize, draw: impl FnOnce() -> f64) -> Option<f64> {
        let budget = [self.transient, self.flaky, self.permanent][class];
        if used[class] >= budget {
            return None;
        }
        let earlier: u32 = used.iter().sum();
        let grown = if self.base_s == 0.0 { 0.0 } else { self.base_s * self.factor.powf(f64::from(earlier)) };
        let grown = if grown.is_finite() { grown } else { self.max_s };
        Some(grown.min(self.max_s) * (1.0 - self.jitter.min(1.0) * draw()))
    }
}

/// The generic cell rate algorithm (ITU-T I.371): each use reserves the next free slot.
pub struct Throttle {
    interval_ns: f64,
    slack_ns: f64,
    next_ns: Option<f64>,
}

impl Throttle {
    pub fn new(plan: &ThrottlePlan) -> Self {
        let interval_ns = 1e9 / plan.rate_per_s;
        Throttle { interval_ns, slack_ns: (plan.burst - 1.0) * interval_ns, next_ns: None }
    }

    /// Nanoseconds to wait before going; the slot is taken.
    pub fn reserve(&mut self, now_ns: i64) -> i64 {
        let now_ns = now_ns as f64;
        let earliest = now_ns - self.slack_ns;
        let slot = self.next_ns.filter(|next| *next >= earliest).unwrap_or(earliest);
        self.next_ns = Some(slot + self.interval_ns);
        (slot - now_ns).max(0.0) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_lets_its_rate_through_and_no_more() {
        let mut throttle = Throttle::new(&ThrottlePlan { rate_per_s: 10.0, burst: 2.0 });
        let waits: Vec<i64> = (0..4).map(|_| throttle.reserve(1_000_000_000) / 1_000_000).collect();
        assert_eq!(waits, [0, 0, 100, 200]);
        assert_eq!(throttle.reserve(9_000_000_000), 0);
    }

    #[test]
    fn delays_grow_to_their_cap_within_the_budget() {
        let rule = Retry { transient: 3, flaky: 0, permanent: 0, base_s: 0.1, max_s: 0.3, factor: 2.0, jitter: 0.0 };
        let delays: Vec<_> = (0..4).map(|used| rule.delay_s(&[used, 0, 0], TRANSIENT, || 0.5)).collect();
        assert_eq!(delays, [Some(0.1), Some(0.2), Some(0.3), None]);
        assert_eq!(rule.delay_s(&[0; 3], FLAKY, || unreachable!("a used-up budget draws nothing")), None);
    }
}
