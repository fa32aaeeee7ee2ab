-- Locked and suspended accounts, login tokens, reports.

-- `locked`: no request is served but a logout; `suspended`: none that others would see, but for receipts. Both can be
-- undone. An administrator is an account of kind 1.
ALTER TABLE accounts
    ADD COLUMN locked boolean NOT NULL DEFAULT false,
    ADD COLUMN suspended boolean NOT NULL DEFAULT false;

-- Tokens with which another device of a user may log in, once. Only as SHA-256.
CREATE TABLE login_tokens (
    token_hash bytea PRIMARY KEY,
    user_nid bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX login_tokens_by_user ON login_tokens (user_nid);

-- What users have reported, as they named it: an event of a room, a room, or a user. Whether that exists
-- is for the reader to see.
CREATE TABLE reports (
    report_id bytea PRIMARY KEY,
    reporter bigint NOT NULL,
    room_id text,
    event_id text,
    user_id text,
    reason text NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX reports_by_time ON reports (at);

GRANT SELECT ON login_tokens TO ganglion_client_reader;
GRANT SELECT, INSERT, DELETE ON login_tokens TO ganglion_event_persister;
-- Nobody but the operator reads reports.
GRANT INSERT ON reports TO ganglion_event_persister;
