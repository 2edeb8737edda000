//! The rows of a CSV file, held as one text: what a row costs is its own bytes, and four for the end of each cell.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Rows of the same number of cells.
#[derive(Debug, Default)]
pub struct Table {
    width: usize,
    text: String,
    /// Where each cell ends in `text`; it begins where the one before ends.
    ends: Vec<u32>,
}

impl Table {
    pub fn new(width: usize) -> Self {
        Table { width, ..Table::default() }
    }

    /// Appends a row. Says why it can't be: another number of cells, or 4 GiB of text, which is all that `ends` can count.
    pub fn add<'c>(&mut self, cells: impl Iterator<Item = &'c str>) -> Result<(), String> {
        let (text, ends) = (self.text.len(), self.ends.len());
        for cell in cells {
            self.text.push_str(cell);
            self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        }
        let count = self.ends.len() - ends;
        let trouble = if count != self.width {
            format!("{count} cells where {} are expected", self.width)
        } else if self.text.len() > u32::MAX as usize {
            "the file holds more than 4 GiB of text".to_owned()
        } else {
            return Ok(());
        };
        self.text.truncate(text);
        self.ends.truncate(ends);
        Err(trouble)
    }

    /// How many cells each row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ends.len().checked_div(self.width).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Panics where there is no such cell.
    pub fn cell(&self, row: usize, column: usize) -> &str {
        assert!(column < self.width);
        let at = row * self.width + column;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[at] as usize]
    }

    /// Gives back what was kept for more rows.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// From a list of lists of texts.
impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Table;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("rows of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Table, A::Error> {
                let mut table: Option<Table> = None;
                while let Some(row) = rows.next_element::<Vec<String>>()? {
                    let table = table.get_or_insert_with(|| Table::new(row.len()));
                    table.add(row.iter().map(String::as_str)).map_err(A::Error::custom)?;
                }
                Ok(table.unwrap_or_default())
            }
        }
        deserializer.deserialize_seq(Rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_comes_back_as_it_was() {
        let rows = [["a", "", "ä€😀"], ["", "", ""], ["1", "22", "333"]];
        let mut table = Table::new(3);
        for row in rows {
            table.add(row.into_iter()).unwrap();
        }
        table.shrink();
        assert_eq!((table.len(), table.is_empty()), (3, false));
        for (number, row) in rows.iter().enumerate() {
            assert_eq!([0, 1, 2].map(|column| table.cell(number, column)), *row);
        }
        let read: Table = serde_json::from_value(serde_json::json!(rows)).unwrap();
        assert_eq!((read.text, read.ends), (table.text, table.ends));
    }

    #[test]
    fn a_row_of_another_width_changes_nothing() {
        let mut table = Table::new(2);
        table.add(["a", "b"].into_iter()).unwrap();
        assert_eq!(table.add(["c"].into_iter()), Err("1 cells where 2 are expected".to_owned()));
        assert_eq!((table.len(), table.cell(0, 1)), (1, "b"));
        assert!(serde_json::from_str::<Table>(r#"[["a"], ["b", "c"]]"#).is_err());
    }
}
