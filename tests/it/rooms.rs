//! Rooms as graphs of events.

mod forks;
