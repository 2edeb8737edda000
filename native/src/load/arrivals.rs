//! Gives each pass of a pace to a free user when it is due: `loadflow/engine/generator/locust/arrivals.py` again.
//!
//! When a pass is due Python computes, exactly, and some thousand passes ahead; the first that is due and finds no free user
//! waits, and all behind it.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError};

use crate::load::picks::Picks;
use crate::plan::PacePlan;

/// How long to wait for times that are not there yet: Python is behind.
const AGAIN_NS: i64 = 500_000;

/// Counts of passes by outcome, since the start. Each due pass (without a pace: each that began) is dropped, or is started with its first
/// request, and then it makes all its steps or is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Passes {
    pub due: u64,
    pub started: u64,
    pub dropped: u64,
    pub made: u64,
    pub cut_off: u64,
}

/// What is to be done with the next pass.
#[derive(Debug, PartialEq)]
pub enum Turn {
    /// It is for this user: when it was due, and the step that was picked.
    Of(u32, i64, Option<usize>),
    /// Nothing can be done before this time, or before a user is free.
    Later(i64),
    /// There is none any more.
    End,
}

pub struct Arrivals {
    pub due: u64,
    /// Due passes that no user got.
    pub dropped: u64,
    plan: PacePlan,
    end_ns: i64,
    patience_ns: Option<i64>,
    source: Receiver<Vec<i64>>,
    chunk: std::vec::IntoIter<i64>,
    /// Passes that are due after this time are due at the times of another source.
    change: Option<(i64, Receiver<Vec<i64>>)>,
    /// When the last pass was due that was handed out or dropped.
    last_ns: i64,
    /// Times up to here are those of a source before this one.
    after_ns: i64,
    /// The next pass, its pick already drawn: pass n has pick n, in any process.
    next: Option<(i64, Option<usize>)>,
    picks: Option<Picks>,
    /// Of a pass whose time was taken back before it came.
    kept_pick: Option<Option<usize>>,
    shard: usize,
    shards: usize,
    drawn: bool,
    in_flight: u32,
    free: VecDeque<u32>,
}

impl Arrivals {
    pub fn new(plan: &PacePlan, source: Receiver<Vec<i64>>, picks: Option<Picks>, shard: usize, shards: usize) -> Self {
        Arrivals {
            due: 0,
            dropped: 0,
            end_ns: (plan.duration_s * 1e9).round() as i64,
            patience_ns: plan.max_lateness_s.map(|seconds| (seconds * 1e9).round() as i64),
            plan: plan.clone(),
            source,
            chunk: Vec::new().into_iter(),
            change: None,
            last_ns: i64::MIN,
            after_ns: i64::MIN,
            next: None,
            picks,
            kept_pick: None,
            shard,
            shards,
            drawn: false,
            in_flight: 0,
            free: VecDeque::new(),
        }
    }

    pub fn is_late(&self, due_ns: i64, start_ns: i64) -> bool {
        start_ns - due_ns > self.plan.late_ns
    }

    /// A user waits for a pass.
    pub fn wait(&mut self, user: u32) {
        self.free.push_back(user);
    }

    /// A user is done with his pass.
    pub fn passed(&mut self) {
        self.in_flight -= 1;
    }

    /// Passes that are due after `from_ns` are due at the times of `source`, all of them later, instead. What was handed out already stays.
    pub fn change(&mut self, from_ns: i64, source: Receiver<Vec<i64>>) {
        self.change = Some((from_ns, source));
        if let Some((_, pick)) = self.next.take_if(|(due_ns, _)| *due_ns > from_ns) {
            self.kept_pick = Some(pick);
            self.take_change(); // what follows is due later still
        }
    }

    fn take_change(&mut self) {
        if let Some((_, source)) = self.change.take() {
            (self.source, self.chunk, self.after_ns) = (source, Vec::new().into_iter(), self.last_ns);
        }
    }

    /// The next thing to do; to be asked again until it is `Later` or `End`. `must_know`: wait for times that are not there yet.
    pub fn turn(&mut self, now_ns: i64, must_know: bool) -> Turn {
        loop {
            if self.next.is_none() {
                match self.next_due(must_know) {
                    Ok(due_ns) => self.next = Some((due_ns, self.pick())),
                    Err(TryRecvError::Empty) => return Turn::Later(now_ns + AGAIN_NS),
                    Err(TryRecvError::Disconnected) => return Turn::End,
                }
            }
            let Some((due_ns, pick)) = self.next else { return Turn::End };
            if due_ns > now_ns {
                return Turn::Later(due_ns);
            }
            self.last_ns = due_ns;
            let late = self.patience_ns.is_some_and(|patience| now_ns - due_ns > patience + self.plan.late_ns);
            if !late && self.in_flight < self.plan.max_in_flight && !self.free.is_empty() {
                self.next = None;
                self.due += 1;
                self.in_flight += 1;
                return self.free.pop_front().map_or(Turn::End, |user| Turn::Of(user, due_ns, pick));
            }
            let until_ns = self.patience_ns.map_or(self.end_ns, |patience| self.end_ns.min(due_ns + patience));
            if !late && now_ns < until_ns {
                return Turn::Later(until_ns);
            }
            self.next = None;
            self.due += 1;
            self.dropped += 1;
        }
    }

    /// Stop handing out passes. Passes that are due by now and have no user are dropped.
    pub fn end(&mut self, now_ns: i64) {
        loop {
            let next = self.next.take().map(|(due_ns, _)| due_ns);
            let Some(due_ns) = next.or_else(|| self.next_due(true).ok()) else { return };
            if due_ns > now_ns {
                return;
            }
            self.due += 1;
            self.dropped += 1;
        }
    }

    fn next_due(&mut self, must_know: bool) -> Result<i64, TryRecvError> {
        loop {
            if let Some(due_ns) = self.chunk.next() {
                if self.change.as_ref().is_some_and(|(from_ns, _)| due_ns > *from_ns) {
                    self.take_change();
                } else if due_ns > self.after_ns {
                    return Ok(due_ns);
                }
                continue;
            }
            let more = if must_know { self.source.recv().map_err(|_| TryRecvError::Disconnected) } else { self.source.try_recv() };
            match more {
                Ok(chunk) => self.chunk = chunk.into_iter(),
                Err(TryRecvError::Disconnected) if self.change.is_some() => self.take_change(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Of the picks of all loops, this one's next.
    fn pick(&mut self) -> Option<usize> {
        if let Some(kept) = self.kept_pick.take() {
            return kept;
        }
        let picks = self.picks.as_mut()?;
        let skip = if std::mem::replace(&mut self.drawn, true) { self.shards - 1 } else { self.shard };
        for _ in 0..skip {
            picks.draw();
        }
        Some(picks.draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel_of(times: &[i64]) -> Receiver<Vec<i64>> {
        let (sender, source) = std::sync::mpsc::channel();
        for chunk in times.chunks(2) {
            sender.send(chunk.to_vec()).unwrap();
        }
        source
    }

    /// When each pass was due that users got who always are free.
    fn given(turns: &mut Arrivals, now_ns: i64) -> Vec<i64> {
        let mut times = Vec::new();
        loop {
            turns.wait(7);
            match turns.turn(now_ns, true) {
                Turn::Of(_, due_ns, _) => times.push(due_ns),
                _ => return times,
            }
            turns.passed();
        }
    }

    fn arrivals(times: &[i64], max_in_flight: u32, max_lateness_s: Option<f64>) -> Arrivals {
        let source = channel_of(times);
        let plan = PacePlan { max_in_flight, max_lateness_s, duration_s: 1.0, late_ns: 10_000_000 };
        Arrivals::new(&plan, source, None, 0, 1)
    }

    #[test]
    fn a_pass_waits_for_its_time_and_for_a_free_user() {
        let mut turns = arrivals(&[10, 20], 2, None);
        assert_eq!(turns.turn(5, false), Turn::Later(10));
        assert_eq!(turns.turn(10, false), Turn::Later(1_000_000_000));
        turns.wait(7);
        assert_eq!(turns.turn(30, false), Turn::Of(7, 10, None));
        assert_eq!(turns.turn(30, false), Turn::Later(1_000_000_000));
        turns.passed();
        turns.wait(7);
        assert_eq!(turns.turn(40, false), Turn::Of(7, 20, None));
        assert_eq!(turns.turn(40, false), Turn::End);
    }

    #[test]
    fn what_could_not_start_in_time_is_dropped() {
        let mut turns = arrivals(&[0, 100_000_000, 900_000_000], 1, Some(0.05));
        assert_eq!(turns.turn(0, false), Turn::Later(50_000_000));
        assert_eq!(turns.turn(51_000_000, false), Turn::Later(100_000_000));
        assert_eq!(turns.turn(2_000_000_000, true), Turn::End);
        assert_eq!((turns.due, turns.dropped), (3, 3));
    }

    #[test]
    fn what_was_due_when_the_load_ended_early_is_dropped_and_no_more() {
        let mut turns = arrivals(&[10, 20, 30, 900], 1, None);
        turns.wait(7);
        assert_eq!(turns.turn(25, false), Turn::Of(7, 10, None));
        assert_eq!(turns.turn(25, false), Turn::Later(1_000_000_000));
        turns.end(30);
        assert_eq!((turns.due, turns.dropped), (3, 2));
    }

    #[test]
    fn after_a_change_passes_are_due_at_other_times() {
        for already in [0, 15, 20, 25] {
            let mut turns = arrivals(&[10, 20, 30, 40, 50], 1, None);
            let mut times = given(&mut turns, already); // and the next one is held, or none is
            turns.change(25, channel_of(&[26, 28, 31]));
            times.extend(given(&mut turns, 1_000));
            assert_eq!(times, [10, 20, 26, 28, 31]);
            assert_eq!((turns.due, turns.turn(1_000, true)), (5, Turn::End));
        }
    }

    #[test]
    fn a_change_after_the_last_time_brings_more() {
        let mut turns = arrivals(&[10, 20], 1, None);
        assert_eq!(given(&mut turns, 22), [10, 20]);
        turns.change(25, channel_of(&[26]));
        assert_eq!(given(&mut turns, 1_000), [26]);
    }

    #[test]
    fn no_pass_is_made_twice_where_a_change_comes_too_late() {
        let mut turns = arrivals(&[10, 20, 30, 40], 1, None);
        assert_eq!(given(&mut turns, 30), [10, 20, 30]);
        turns.change(15, channel_of(&[16, 18, 26, 35, 45]));
        assert_eq!(given(&mut turns, 1_000), [35, 45]);
    }
}
