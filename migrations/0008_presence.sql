-- The last presence of each user: what is left of it when Redis is lost. Not a log: the newest counts.

-- state: 0 offline, 1 unavailable, 2 online. Times in milliseconds since the epoch. `status_at` orders
-- what different instances set; 0: never set.
CREATE TABLE presence (
    user_nid bigint PRIMARY KEY,
    state smallint NOT NULL,
    last_active bigint NOT NULL,
    status_msg text,
    status_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

GRANT SELECT ON presence TO ganglion_client_reader, ganglion_event_persister;
GRANT INSERT, UPDATE, DELETE ON presence TO ganglion_event_persister;
