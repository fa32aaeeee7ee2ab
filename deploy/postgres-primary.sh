#!/bin/sh
# Runs once, when PostgreSQL's folder is made: login users of the roles (migrations give them their
# rights) and of the replica.
set -eu
user() {
    psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
        -v name="$1" -v password="$(cat "/secrets/postgres/$2")" <<SQL
CREATE ROLE :"name" LOGIN $3 PASSWORD :'password';
SQL
}
user ganglion_client_reader client-reader ""
user ganglion_event_persister event-persister ""
user ganglion_pusher pusher ""
user replication replication REPLICATION
echo "host replication replication all scram-sha-256" >>"$PGDATA/pg_hba.conf"
