//! The body of a response, put together from pieces of JSON.

use ganglion_model::SyncToken;

use crate::presence::Shown;

/// The sections of a response; each is the inside of a JSON object or list.
#[derive(Debug, Default)]
pub(crate) struct Response {
    join: Vec<u8>,
    invite: Vec<u8>,
    knock: Vec<u8>,
    leave: Vec<u8>,
    account_data: Vec<u8>,
    presence: Vec<u8>,
}

/// A section of rooms.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Section {
    Join,
    Invite,
    Knock,
    Leave,
}

impl Response {
    /// Adds a room's JSON object to a section.
    pub(crate) fn add_room(&mut self, section: Section, room_id: &str, room: &[u8]) {
        let section = match section {
            Section::Join => &mut self.join,
            Section::Invite => &mut self.invite,
            Section::Knock => &mut self.knock,
            Section::Leave => &mut self.leave,
        };
        separate(section);
        write_text(section, room_id);
        section.push(b':');
        section.extend_from_slice(room);
    }

    /// Adds a piece of global account data.
    pub(crate) fn add_account_data(&mut self, data_type: &str, content: &[u8]) {
        separate(&mut self.account_data);
        write_account_data(&mut self.account_data, data_type, content);
    }

    /// Adds a user's presence.
    pub(crate) fn add_presence(&mut self, shown: &Shown) {
        separate(&mut self.presence);
        shown.write(&mut self.presence);
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        [
            &self.join,
            &self.invite,
            &self.knock,
            &self.leave,
            &self.account_data,
            &self.presence,
        ]
        .iter()
        .all(|section| section.is_empty())
    }

    /// The whole body.
    pub(crate) fn finish(self, next_batch: &SyncToken) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.join.len() + self.leave.len());
        out.push(b'{');
        if !self.account_data.is_empty() {
            out.extend_from_slice(b"\"account_data\":{\"events\":[");
            out.extend_from_slice(&self.account_data);
            out.extend_from_slice(b"]},");
        }
        out.extend_from_slice(b"\"next_batch\":");
        write_text(&mut out, &next_batch.encode());
        if !self.presence.is_empty() {
            out.extend_from_slice(b",\"presence\":{\"events\":[");
            out.extend_from_slice(&self.presence);
            out.extend_from_slice(b"]}");
        }
        let mut rooms = Vec::new();
        for (name, section) in [
            ("invite", &self.invite),
            ("join", &self.join),
            ("knock", &self.knock),
            ("leave", &self.leave),
        ] {
            if !section.is_empty() {
                separate(&mut rooms);
                write_text(&mut rooms, name);
                rooms.extend_from_slice(b":{");
                rooms.extend_from_slice(section);
                rooms.push(b'}');
            }
        }
        if !rooms.is_empty() {
            out.extend_from_slice(b",\"rooms\":{");
            out.extend_from_slice(&rooms);
            out.push(b'}');
        }
        out.push(b'}');
        out
    }
}

/// Appends a comma if something is there already.
pub(crate) fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
}

/// Appends a JSON string.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

/// Appends a piece of account data as clients see it.
pub(crate) fn write_account_data(out: &mut Vec<u8>, data_type: &str, content: &[u8]) {
    out.extend_from_slice(b"{\"content\":");
    out.extend_from_slice(content);
    out.extend_from_slice(b",\"type\":");
    write_text(out, data_type);
    out.push(b'}');
}

#[cfg(test)]
mod tests;
