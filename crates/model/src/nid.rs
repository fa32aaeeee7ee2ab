//! Numeric ids. Inside the cluster rooms, users, events and state keys are 64-bit numbers; strings
//! exist only at the edge. A number is never reused and never shown outside.

macro_rules! nid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

nid!(
    /// A room.
    RoomNid
);
nid!(
    /// An event.
    EventNid
);
nid!(
    /// A user, local or remote.
    UserNid
);
nid!(
    /// A place in a room's state: an interned pair of event type and state key.
    SlotNid
);
nid!(
    /// A stored room state.
    SnapshotNid
);
nid!(
    /// An interned event type.
    TypeNid
);

/// The number of low bits that count within one allocator; the bits above name the allocator (the
/// PostgreSQL primary), so that groups of shards can later live on primaries of their own.
pub const ALLOCATOR_SHIFT: u32 = 48;
