//! The last answers of a shard, so that a quick repetition costs no batch.

use std::collections::{HashMap, VecDeque};

use ganglion_model::CommandId;
use ganglion_proto::persister::Done;

/// A bounded memory of committed answers, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    answers: HashMap<CommandId, Done>,
    order: VecDeque<CommandId>,
}

const KEPT: usize = 1_000;

impl Recent {
    pub(super) fn get(&self, id: &CommandId) -> Option<&Done> {
        self.answers.get(id)
    }

    pub(super) fn add(&mut self, id: CommandId, done: Done) {
        if self.answers.insert(id, done).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.answers.remove(&oldest);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.answers.clear();
        self.order.clear();
    }
}
