//! One connection, with deadlines.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::error::StorageError;

/// A typed parameter of a statement.
pub type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection from a pool. Every statement on it has the pool's deadline.
pub struct Connection {
    object: Object,
    timeout: Duration,
}

impl Connection {
    pub(crate) fn new(object: Object, timeout: Duration) -> Self {
        Self { object, timeout }
    }

    /// The rows of a statement.
    ///
    /// # Errors
    /// As [`StorageError`] says; a deadline passed is `Unavailable`.
    pub async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StorageError> {
        self.within(self.client().query_typed(sql, params)).await
    }

    /// The first row of a statement, if there is one.
    ///
    /// # Errors
    /// As [`Connection::query`].
    pub async fn query_opt(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Option<Row>, StorageError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The number of rows a statement changed.
    ///
    /// # Errors
    /// As [`Connection::query`].
    pub async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, StorageError> {
        self.within(self.client().execute_typed(sql, params)).await
    }

    /// A statement without parameters or rows, e.g. `BEGIN`.
    ///
    /// # Errors
    /// As [`Connection::query`].
    pub async fn run(&self, sql: &str) -> Result<(), StorageError> {
        self.within(self.client().batch_execute(sql)).await
    }

    /// Takes the connection out of its pool, so that it is closed and never used again: its state
    /// is not known.
    pub fn discard(self) {
        drop(Object::take(self.object));
    }

    pub(crate) fn client(&self) -> &Client {
        &self.object
    }

    pub(crate) async fn within<T>(
        &self,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StorageError> {
        match tokio::time::timeout(self.timeout, statement).await {
            Ok(result) => Ok(result?),
            Err(_elapsed) => Err(StorageError::Unavailable("no answer in time".to_owned())),
        }
    }
}
