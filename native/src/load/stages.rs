//! How many users there should be: stages in turn, each ramping evenly at its rate.

use crate::plan::Stage;

/// Gives the number of users that is wanted at a time, and when it will change.
pub struct Ramp<'p> {
    stages: &'p [Stage],
    at: usize,
    begun_ns: i64,
    from: u32,
}

impl<'p> Ramp<'p> {
    pub fn new(stages: &'p [Stage]) -> Self {
        Ramp { stages, at: 0, begun_ns: 0, from: 0 }
    }

    /// Users wanted now, and the time of the next change (None: there is none).
    pub fn wanted(&mut self, now_ns: i64) -> (u32, Option<i64>) {
        loop {
            let Some(stage) = self.stages.get(self.at) else { return (self.from, None) };
            let end_ns = stage.duration_s.map(|seconds| self.begun_ns + (seconds * 1e9) as i64);
            if let Some(end_ns) = end_ns.filter(|end_ns| *end_ns <= now_ns) {
                self.from = self.level(stage, end_ns).0;
                self.begun_ns = end_ns;
                self.at += 1;
                continue;
            }
            let (level, next_ns) = self.level(stage, now_ns);
            let next_ns = match (next_ns, end_ns) {
                (Some(next), Some(end)) => Some(next.min(end)),
                (one, other) => one.or(other),
            };
            return (level, next_ns);
        }
    }

    /// The first user comes (or goes) at the start of the stage, the others 1/rate apart.
    fn level(&self, stage: &Stage, now_ns: i64) -> (u32, Option<i64>) {
        let gap_ns = 1e9 / stage.spawn_rate.max(0.01);
        let whole = self.from.abs_diff(stage.users);
        let steps = ((now_ns - self.begun_ns) as f64 / gap_ns) as u64 + 1;
        let moved = u32::try_from(steps).unwrap_or(u32::MAX).min(whole);
        let level = if stage.users > self.from { self.from + moved } else { self.from - moved };
        let next_ns = (moved < whole).then(|| self.begun_ns + (f64::from(moved) * gap_ns).ceil() as i64);
        (level, next_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_come_and_go_at_the_rate_of_their_stage() {
        let stage = |duration_s, users| Stage { duration_s, users, spawn_rate: 2.0 };
        let stages = [stage(Some(2.0), 3), stage(Some(1.0), 3), stage(None, 1)];
        let mut ramp = Ramp::new(&stages);
        let levels: Vec<u32> = [0.0, 0.4, 0.5, 1.0, 1.9, 2.5, 3.0, 3.4, 3.5, 9.0].iter().map(|s| ramp.wanted((s * 1e9) as i64).0).collect();
        assert_eq!(levels, [1, 1, 2, 3, 3, 3, 2, 2, 1, 1]);
        assert_eq!(ramp.wanted(10_000_000_000).1, None);
    }
}
