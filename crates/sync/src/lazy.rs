//! Which member events a lazily loading client already has.
//!
//! A member event counts as known once the client comes with a token at or behind the response that
//! carried it: a response that was lost and asked for again carries it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ganglion_model::{EventNid, Position, UserNid};
use moka::sync::Cache;
use ruma::{DeviceId, OwnedDeviceId};

/// Devices that are remembered, and member events of each.
const DEVICES: u64 = 10_000;
const EVENTS: usize = 2_000;

type Sent = Arc<Mutex<HashMap<EventNid, Position>>>;

/// The memory of one process; what it forgot is sent again.
pub(crate) struct Lazy(Cache<(UserNid, OwnedDeviceId), Sent>);

impl Lazy {
    pub(crate) fn new() -> Self {
        Self(Cache::new(DEVICES))
    }

    /// The device starts anew and has nothing.
    pub(crate) fn forget(&self, user: UserNid, device: &DeviceId) {
        self.0.invalidate(&(user, device.to_owned()));
    }

    /// Whether a client at `since` (in the room's shard) has the event.
    pub(crate) fn has(
        &self,
        device: (UserNid, &DeviceId),
        event: EventNid,
        since: Position,
    ) -> bool {
        let sent = self.0.get(&(device.0, device.1.to_owned()));
        sent.is_some_and(|sent| lock(&sent).get(&event).is_some_and(|pos| *pos <= since))
    }

    /// The response at `pos` (in the room's shard) carries the events.
    pub(crate) fn sent(
        &self,
        device: (UserNid, &DeviceId),
        events: impl IntoIterator<Item = EventNid>,
        pos: Position,
    ) {
        let sent = self
            .0
            .get_with((device.0, device.1.to_owned()), Sent::default);
        let mut sent = lock(&sent);
        for event in events {
            if sent.len() >= EVENTS {
                sent.clear();
            }
            sent.entry(event).or_insert(pos);
        }
    }
}

fn lock(sent: &Sent) -> MutexGuard<'_, HashMap<EventNid, Position>> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
