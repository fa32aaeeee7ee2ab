//! What a cluster must stand.

mod rights;
