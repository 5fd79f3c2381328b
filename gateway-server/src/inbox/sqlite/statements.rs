//! The statements of one transaction or read, each prepared when it is needed first.

use hashbrown::HashMap;
use rusqlite::{Connection, Params, Result, Row, Statement};

/// Prepared statements, by their text.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    prepared: HashMap<&'static str, Statement<'c>>,
}

impl<'c> Statements<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, prepared: HashMap::new() }
    }

    fn get(&mut self, sql: &'static str) -> Result<&mut Statement<'c>> {
        if !self.prepared.contains_key(sql) {
            self.prepared.insert(sql, self.connection.prepare(sql)?);
        }
        self.prepared.get_mut(sql).ok_or(rusqlite::Error::InvalidQuery)
    }

    /// Runs a statement that changes rows, and gives how many.
    pub(super) fn run(&mut self, sql: &'static str, params: impl Params) -> Result<usize> {
        self.get(sql)?.execute(params)
    }

    /// Gives the first row of a query, if there is one.
    pub(super) fn first<T>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut rows = self.get(sql)?.query(params)?;
        rows.next()?.map(read).transpose()
    }

    /// Gives all rows of a query.
    pub(super) fn all<T>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.get(sql)?.query_map(params, read)?.collect()
    }

    /// Gives rows of a query as long as `read` gives something.
    pub(super) fn until<T>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        let mut rows = self.get(sql)?.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            match read(row)? {
                Some(one) => found.push(one),
                None => break,
            }
        }
        Ok(found)
    }
}
