-- Partitions by shard, from the start, and the rights of each worker role.

DO $$
DECLARE
    parent text;
BEGIN
    FOR n IN 0..31 LOOP
        FOREACH parent IN ARRAY ARRAY[
            'events', 'room_changes', 'snapshots', 'current_state', 'user_memberships', 'commands'
        ] LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)',
                parent || '_' || n, parent, n);
        END LOOP;
    END LOOP;
    FOR n IN 32..63 LOOP
        FOREACH parent IN ARRAY ARRAY['token_revocations', 'account_data', 'commands'] LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)',
                parent || '_' || n, parent, n);
        END LOOP;
    END LOOP;
END
$$;

-- Roles belong to the server of databases, not to one database: another database may have made them.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ganglion_client_reader', 'ganglion_event_persister'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', name);
    END LOOP;
END
$$;

-- client-reader reads; all it writes is its own row among the instances.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO ganglion_client_reader;
GRANT INSERT, UPDATE, DELETE ON instances TO ganglion_client_reader;

-- event-persister is the only writer of logs. Events are never deleted by it.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO ganglion_event_persister;
GRANT INSERT, UPDATE, DELETE ON instances TO ganglion_event_persister;
GRANT UPDATE ON shards, id_allocator TO ganglion_event_persister;
GRANT INSERT ON batches, generations, commands, users, event_types, state_slots, rooms, events,
    room_changes, snapshots, current_state, user_memberships, room_aliases, public_rooms, accounts,
    devices, access_tokens, refresh_tokens, token_revocations, account_data, forgotten_rooms,
    profiles, filters, jobs
    TO ganglion_event_persister;
GRANT UPDATE ON events, current_state, room_aliases, accounts, devices, access_tokens,
    refresh_tokens, account_data, forgotten_rooms, profiles, registration_tokens, jobs
    TO ganglion_event_persister;
GRANT DELETE ON batches, commands, current_state, room_aliases, public_rooms, devices, access_tokens,
    refresh_tokens, token_revocations, account_data, profiles, filters, jobs TO ganglion_event_persister;
-- A stopped process must not hold locks for ever, nor a statement run on when nobody waits. Where the
-- migrations' user may not alter roles, it is set by hand: docs/operations.md.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ganglion_client_reader', 'ganglion_event_persister'] LOOP
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''15s''', name);
        EXECUTE format('ALTER ROLE %I SET statement_timeout = ''30s''', name);
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'the timeouts of the worker roles could not be set';
END
$$;
