//! Tests of real clusters: at least two of every role behind HAProxy, a primary and a replica, Redis.
//!
//! `client/` follows the chapters of the client-server API and shares one cluster ([`sandbox::shared`]);
//! a test of `cluster/` kills things and starts a cluster of its own ([`sandbox::Sandbox::start`]).
#![cfg(test)]

mod client;
mod cluster;
mod model;
mod remote;
mod rooms;
mod sandbox;
mod user;
