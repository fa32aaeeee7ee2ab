#!/bin/sh
# Clones the primary if the folder is empty, then follows it.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(cat /secrets/postgres/replication)
    until PGPASSWORD=$password pg_basebackup -h postgres -U replication -D "$PGDATA" -R -X stream \
        -d "application_name=replica"; do
        rm -rf "${PGDATA:?}"/*
        sleep 1
    done
    chmod 700 "$PGDATA"
fi
# A read is cancelled rather than keeping the replica behind for longer.
exec postgres -c hot_standby=on -c max_standby_streaming_delay=1s
