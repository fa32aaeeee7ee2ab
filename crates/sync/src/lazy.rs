//! Which member events a lazily loading client already has.
//!
//! Only what lies on the client's own way counts: the events of a response are known to who comes with
//! exactly that response's token, together with what was known when it was asked for. A response that
//! was lost, a client that went back to an older token, or a token that another instance gave out:
//! the events are sent again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ganglion_model::{EventNid, SyncToken, UserNid};
use moka::sync::Cache;
use ruma::{DeviceId, OwnedDeviceId};

/// Devices that are remembered, member events of each, and responses to one token of each.
const DEVICES: u64 = 10_000;
const EVENTS: usize = 2_000;
const RESPONSES: usize = 4;

/// The member events that a client has.
pub(crate) type Members = Arc<HashSet<EventNid>>;

#[derive(Default)]
struct Way {
    /// Where the client is; `None` before its first response.
    token: Option<SyncToken>,
    /// What it has there.
    members: Members,
    /// The responses that it may have got to its request from there: token and member events.
    responses: Vec<(SyncToken, HashSet<EventNid>)>,
}

/// The memory of one process; what it forgot is sent again.
pub(crate) struct Lazy(Cache<(UserNid, OwnedDeviceId), Arc<Mutex<Way>>>);

impl Lazy {
    pub(crate) fn new() -> Self {
        Self(Cache::new(DEVICES))
    }

    /// A device comes with a token, or starts anew; the member events it has.
    pub(crate) fn begin(&self, device: (UserNid, &DeviceId), since: Option<&SyncToken>) -> Members {
        let way = self.way(device);
        let mut way = lock(&way);
        let got = way
            .responses
            .iter()
            .position(|(token, _)| Some(token) == since);
        if let Some(got) = got {
            let (token, events) = way.responses.swap_remove(got);
            if way.members.len() + events.len() > EVENTS {
                way.members = Members::default();
            }
            Arc::make_mut(&mut way.members).extend(events);
            way.token = Some(token);
            way.responses.clear();
        } else if since.is_none() || way.token.as_ref() != since {
            *way = Way {
                token: since.cloned(),
                ..Way::default()
            };
        }
        way.members.clone()
    }

    /// The response to `since` with the token `next` carries the events.
    pub(crate) fn sent(
        &self,
        device: (UserNid, &DeviceId),
        (since, next): (Option<&SyncToken>, &SyncToken),
        events: impl IntoIterator<Item = EventNid>,
    ) {
        let way = self.way(device);
        let mut way = lock(&way);
        // Who comes with `since` again may have got no response.
        if way.token.as_ref() != since || since == Some(next) {
            return;
        }
        let mut events: HashSet<EventNid> = events.into_iter().collect();
        if let Some(same) = way.responses.iter().position(|(token, _)| token == next) {
            // Another response with the same token: nobody knows which one arrives.
            let (_, others) = way.responses.swap_remove(same);
            events.retain(|event| others.contains(event));
        }
        if way.responses.len() >= RESPONSES {
            way.responses.remove(0);
        }
        way.responses.push((next.clone(), events));
    }

    fn way(&self, device: (UserNid, &DeviceId)) -> Arc<Mutex<Way>> {
        let device = (device.0, device.1.to_owned());
        self.0.get_with(device, Arc::default)
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
