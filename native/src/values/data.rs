//! What all users of a loop share: rows of CSV files, made-up values, the wall clock.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::os::random::Rng;
use crate::os::socket::local_time;
use crate::values::node::{Filled, Missing, Scope};
use crate::values::table::Table;

#[derive(Debug, Deserialize)]
pub struct SourcePlan {
    pub name: String,
    /// Shared by all loops of a process.
    #[serde(deserialize_with = "shared")]
    pub rows: Arc<Table>,
    pub mode: Mode,
    /// A user keeps the row that he took first.
    pub per_user: bool,
    /// What `random` draws from; None: different in every run.
    pub seed: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Cycle,
    Once,
    Random,
}

fn shared<'de, D: Deserializer<'de>>(reader: D) -> Result<Arc<Table>, D::Error> {
    Table::deserialize(reader).map(Arc::new)
}

/// Hands out the rows of one file to one loop: number k of n takes rows k, k+n, k+2n, …
struct Source<'p> {
    plan: &'p SourcePlan,
    position: usize,
    shard: usize,
    shards: usize,
    rng: Rng,
}

impl Source<'_> {
    fn take(&mut self) -> Filled<usize> {
        let count = self.plan.rows.len();
        match self.plan.mode {
            Mode::Random => Ok((self.rng.unit() * count as f64) as usize),
            Mode::Cycle => {
                let position = self.position % count;
                self.position = position + self.shards;
                Ok(position)
            }
            Mode::Once if self.position >= count => Err(Missing(self.ran_out())),
            Mode::Once => {
                self.position += self.shards;
                Ok(self.position - self.shards)
            }
        }
    }

    fn ran_out(&self) -> String {
        let (name, count) = (&self.plan.name, self.plan.rows.len());
        let had = count.saturating_sub(self.shard).div_ceil(self.shards);
        let share =
            if self.shards > 1 { format!(" (the share of engine process {} of {})", self.shard + 1, self.shards) } else { String::new() };
        let rows = if had == 1 { "row" } else { "rows" };
        format!("${{csv.{name}}}: csv source '{name}' ran out after {had} {rows}{share}; add rows to the file, or use mode 'cycle'")
    }
}

pub struct Data<'p> {
    sources: Vec<Source<'p>>,
    pools: &'p [Vec<Value>],
    now_s: i64,
    now_text: String,
}

impl<'p> Data<'p> {
    pub fn new(sources: &'p [SourcePlan], pools: &'p [Vec<Value>], shard: usize, shards: usize) -> Self {
        let sources =
            sources.iter().map(|plan| Source { rng: Rng::new(plan.seed.clone()), plan, position: shard, shard, shards }).collect();
        Data { sources, pools, now_s: -1, now_text: String::new() }
    }

    /// Lets go of the rows of the step before, but for those that a user keeps.
    pub fn begin_step(&self, scope: &mut Scope) {
        for (row, source) in scope.rows.iter_mut().zip(&self.sources) {
            if !source.plan.per_user {
                *row = None;
            }
        }
    }

    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// The cell of this step's row, which is taken when the step first asks.
    pub fn cell(&mut self, scope: &mut Scope, source: usize, column: usize) -> Filled<&str> {
        let row = match scope.rows[source] {
            Some(row) => row,
            None => {
                let taken = self.sources[source].take();
                scope.out_of_rows |= taken.is_err();
                *scope.rows[source].insert(taken?)
            }
        };
        Ok(self.sources[source].plan.rows.cell(row, column))
    }

    /// A row of the source, where the step has none yet, and there is one.
    pub fn take(&mut self, scope: &mut Scope, source: usize) {
        if scope.rows[source].is_none() {
            scope.rows[source] = self.sources[source].take().ok();
        }
    }

    /// The cell of the row that this step has taken; None where it took none.
    pub fn taken(&self, scope: &Scope, source: usize, column: usize) -> Option<&str> {
        scope.rows[source].map(|row| self.sources[source].plan.rows.cell(row, column))
    }

    pub fn fake(&self, pool: usize, rng: &mut Rng) -> &'p Value {
        let values = &self.pools[pool];
        &values[(rng.unit() * values.len() as f64) as usize]
    }

    /// Local time, formatted once a second.
    pub fn now(&mut self) -> &str {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        if now != self.now_s {
            self.now_s = now;
            self.now_text = local_time(now);
        }
        &self.now_text
    }
}
