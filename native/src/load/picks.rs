//! Which step is next, by weight: `loadflow/engine/plan/pick.py` again, drawing the same sequence from the same seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::os::random::Rng;

pub struct Picks {
    shares: Vec<(usize, i128)>,
    total: i128,
    parts: i128,
    waiting: BinaryHeap<Reverse<(i128, usize, i128)>>,
    ready: BinaryHeap<Reverse<(i128, u64, usize, i128)>>,
    n: i128,
    rng: Rng,
}

impl Picks {
    /// None where no weight is above 0.
    pub fn new(weights: &[i64], rng: Rng) -> Option<Self> {
        let shares: Vec<(usize, i128)> =
            weights.iter().enumerate().filter(|(_, weight)| **weight > 0).map(|(at, weight)| (at, i128::from(*weight))).collect();
        if shares.is_empty() {
            return None;
        }
        let total: i128 = shares.iter().map(|(_, weight)| weight).sum();
        let parts = 2 * shares.len() as i128 - 2;
        let waiting = if parts > 0 {
            shares.iter().enumerate().map(|(index, (_, weight))| Reverse((div_up(total, parts * weight), index, 0))).collect()
        } else {
            BinaryHeap::new()
        };
        Some(Picks { shares, total, parts, waiting, ready: BinaryHeap::new(), n: 0, rng })
    }

    /// The next position.
    pub fn draw(&mut self) -> usize {
        if self.parts == 0 {
            return self.shares[0].0;
        }
        self.n += 1;
        while let Some(&Reverse((opens, index, pick))) = self.waiting.peek() {
            if opens > self.n {
                break;
            }
            self.waiting.pop();
            let due = ((pick + 1) * self.parts - 1) * self.total / (self.parts * self.shares[index].1);
            // floats of [0, 1) sort as their bits do
            self.ready.push(Reverse((due, self.rng.unit().to_bits(), index, pick)));
        }
        let Some(Reverse((_, _, index, pick))) = self.ready.pop() else {
            return self.shares[0].0; // the theorem says that one is always open
        };
        let pick = pick + 1;
        let (position, weight) = self.shares[index];
        self.waiting.push(Reverse((div_up((pick * self.parts + 1) * self.total, self.parts * weight), index, pick)));
        position
    }
}

fn div_up(numerator: i128, denominator: i128) -> i128 {
    -((-numerator).div_euclid(denominator))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `weighted_order([5, 3, 0, 1, 7], Random("picks 1 0"))` gives.
    #[test]
    fn the_order_is_that_of_python() {
        let mut picks = Picks::new(&[5, 3, 0, 1, 7], Rng::new(Some("picks 1 0".into()))).unwrap();
        let drawn: Vec<usize> = (0..40).map(|_| picks.draw()).collect();
        assert_eq!(drawn, PYTHON);
    }

    #[test]
    fn one_weight_needs_no_order() {
        let mut picks = Picks::new(&[0, 4], Rng::new(None)).unwrap();
        assert_eq!([picks.draw(), picks.draw()], [1, 1]);
        assert!(Picks::new(&[0, 0], Rng::new(None)).is_none());
    }

    const PYTHON: [usize; 40] =
        [4, 0, 1, 4, 0, 4, 1, 4, 0, 4, 0, 4, 3, 1, 4, 0, 4, 0, 1, 4, 0, 4, 1, 4, 0, 4, 0, 4, 3, 1, 4, 0, 4, 0, 4, 1, 0, 4, 1, 4];
}
