//! What events count for: the running counts of notifications under the default push rules, from which
//! readers take the unread counts of any user (docs/architecture.md, "Unread counts").

use std::collections::HashMap;

use ganglion_event_rules::Pdu;
use ganglion_model::{Counts, Verdict};
use ganglion_push_rules::EventFacts;
use ganglion_storage::batch::Tally;
use ganglion_storage::{StorageError, unread};

use super::RoomShard;
use super::membership::power_of;
use super::place::relation;
use super::room::Room;
use crate::words::StateKey;

/// Threads whose counts one room keeps; those beyond are read again when they are needed.
const MOST_THREADS: usize = 64;

/// The counts of a room after its last event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    pub(crate) room: Counts,
    pub(crate) main: Counts,
    threads: HashMap<String, Counts>,
    /// The threads of the events placed in the batch being prepared.
    placed: HashMap<String, Option<String>>,
}

impl Running {
    pub(crate) fn new(room: Counts, main: Counts) -> Self {
        Self {
            room,
            main,
            ..Self::default()
        }
    }

    /// The batch is committed: what was placed in it can be read.
    pub(crate) fn committed(&mut self) {
        self.placed.clear();
    }
}

impl RoomShard {
    /// Counts a live event; it must be placed.
    pub(super) async fn count(
        &self,
        room: &mut Room,
        pdu: &Pdu,
    ) -> Result<(Tally, Verdict), StorageError> {
        let id = room.id.clone();
        let event = EventFacts {
            event_type: &pdu.event_type,
            state_key: pdu.state_key.as_deref(),
            sender: pdu.sender.as_str(),
            event_id: pdu.event_id.as_str(),
            room_id: &id,
            content: &pdu.content,
        };
        if event.has_mentions() {
            let keys = ["m.room.create", "m.room.power_levels"];
            let keys: [StateKey; 2] = keys.map(|name| (name.to_owned(), String::new()));
            self.ensure_state(room, &keys).await?;
        }
        let may_notify_room = || {
            power_of(room).is_ok_and(|power| power.reaches(&pdu.sender, power.notification("room")))
        };
        let verdict = self.shared.default_rules.verdict(&event, may_notify_room);
        let thread = self.thread(room, pdu).await?;
        if let Some(root) = &thread {
            self.ensure_thread(room, root).await?;
        }
        let running = &mut room.running;
        running.room.add(verdict);
        let in_thread = match &thread {
            None => {
                running.main.add(verdict);
                Counts::default()
            }
            Some(root) => {
                let counts = running.threads.entry(root.clone()).or_default();
                counts.add(verdict);
                *counts
            }
        };
        let event_id = pdu.event_id.to_string();
        running.placed.insert(event_id, thread.clone());
        let tally = Tally {
            thread,
            room: running.room,
            main: running.main,
            in_thread,
        };
        Ok((tally, verdict))
    }

    /// The root of the thread that an event belongs to: that of its relation, or its parent's
    /// (client-server API, "Threaded read receipts").
    async fn thread(&self, room: &Room, pdu: &Pdu) -> Result<Option<String>, StorageError> {
        let Some((parent, kind)) = relation(pdu).filter(|_| pdu.state_key.is_none()) else {
            return Ok(None);
        };
        if kind == "m.thread" {
            return Ok(Some(parent));
        }
        if let Some(thread) = room.running.placed.get(&parent) {
            return Ok(thread.clone());
        }
        let primary = self.shared.db.primary().await?;
        unread::thread_of(&primary, self.shard, room.nid, &parent).await
    }

    async fn ensure_thread(&self, room: &mut Room, root: &str) -> Result<(), StorageError> {
        if room.running.threads.contains_key(root) {
            return Ok(());
        }
        let primary = self.shared.db.primary().await?;
        let counts = unread::counts_of_thread(&primary, self.shard, room.nid, root).await?;
        drop(primary);
        let running = &mut room.running;
        // Counts of this batch are nowhere else: none is dropped while there may be such.
        if running.threads.len() >= MOST_THREADS && running.placed.is_empty() {
            running.threads.clear();
        }
        running.threads.insert(root.to_owned(), counts);
        Ok(())
    }
}
