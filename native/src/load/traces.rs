//! Traces: which hits are drawn, and the `traceparent` that they carry. `loadflow/engine/generator/tracing.py` again, which also
//! writes the spans.

use crate::http::request::Outgoing;
use crate::load::engine::Loop;
use crate::load::user::User;
use crate::os::random::Rng;
use crate::plan::host::{Ended, Fatal, Span, Trace};
use crate::plan::{Step, TracePlan};

const FIELD: &[u8] = b"traceparent:";

/// Draws hits, never more than `per_s` a second: as many at once at the start, and after that as they come free.
pub struct Sampler<'p> {
    plan: &'p TracePlan,
    rng: Rng,
    most: f64,
    free: f64,
    last_ns: i64,
    /// Hits that were drawn and not traced since this was last told.
    pub over_cap: u64,
}

impl<'p> Sampler<'p> {
    pub fn new(plan: &'p TracePlan) -> Self {
        let most = plan.per_s.max(1.0);
        Sampler { plan, rng: Rng::new(None), most, free: most, last_ns: 0, over_cap: 0 }
    }

    fn draws(&mut self, now_ns: i64) -> bool {
        if self.rng.unit() >= self.plan.sample_rate {
            return false;
        }
        self.free = self.most.min(self.free + (now_ns - self.last_ns) as f64 * self.plan.per_s / 1e9);
        self.last_ns = now_ns;
        if self.free < 1.0 {
            self.over_cap += 1;
            return false;
        }
        self.free -= 1.0;
        true
    }
}

impl Loop<'_> {
    /// Lets the user's next request carry a `traceparent`, if this hit is drawn. A field of the script's own wins.
    pub fn trace(&mut self, user: &mut User) {
        let now_ns = self.now_ns();
        let Some(sampler) = self.sampler.as_mut() else { return };
        if !sampler.draws(now_ns) {
            return;
        }
        let (trace_id, span_id) = (format!("{:032x}", sampler.rng.bits(128)), format!("{:016x}", sampler.rng.bits(64)));
        let request = self.request_of(user);
        if has_field(request) {
            return;
        }
        let place = &self.origins[request.origin];
        let path = request.target().split('?').next().unwrap_or("/").to_owned();
        let (host, port) = (place.host.clone(), place.port);
        if !user.uses_own {
            user.own = request.clone();
            user.uses_own = true;
        }
        user.own.add_field(format!("traceparent: 00-{trace_id}-{span_id}-01\r\n").as_bytes());
        user.hit.trace = Some(Box::new(Trace { trace_id, span_id, host, port, path }));
    }

    /// Reports a traced hit that has ended.
    pub fn tell_span(&mut self, user: &mut User, step: &Step, trace: &Trace, ended: Ended) -> Result<(), Fatal> {
        let name = self.name_of(user, step);
        let over_cap = self.sampler.as_mut().map_or(0, |sampler| std::mem::take(&mut sampler.over_cap));
        self.host.span(&Span { step: user.step, name: &name, user: user.number, trace, ended, over_cap })
    }
}

fn has_field(request: &Outgoing) -> bool {
    request.head().split(|byte| *byte == b'\n').any(|line| line.get(..FIELD.len()).is_some_and(|start| start.eq_ignore_ascii_case(FIELD)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sample_rate: f64, per_s: f64) -> (usize, u64) {
        let plan = TracePlan { sample_rate, per_s };
        let mut sampler = Sampler::new(&plan);
        let count = (0..1_000).filter(|number| sampler.draws(number * 1_000_000)).count();
        (count, sampler.over_cap)
    }

    #[test]
    fn a_sampler_draws_its_share_and_no_more_than_its_limit() {
        assert_eq!(drawn(0.0, 1.0), (0, 0));
        assert_eq!(drawn(1.0, 1e9), (1_000, 0));
        let (count, over_cap) = drawn(1.0, 100.0);
        assert!(count.abs_diff(199) <= 2 && count as u64 + over_cap == 1_000, "{count} in a second that begins with a second's worth");
    }
}
