#!/bin/sh
# Makes what Compose needs to start, once: one folder for each role, for migrations and for
# PostgreSQL. Run by docker-compose.yml in the PostgreSQL image, which brings openssl.
set -eu
umask 077
cd /secrets
[ ! -e postgres/done ] || exit 0

roles="client-reader event-persister pusher"
work=$(mktemp -d)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -subj "/CN=ganglion rpc" -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
openssl rand -hex 32 >"$work/server-secret"

for user in $roles migration replication; do
    openssl rand -hex 24 >"postgres/$user"
done
for role in $roles; do
    # A role is who its certificate says it is.
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$role" \
        -keyout "$role/tls.key" -out "$work/request" 2>/dev/null
    printf 'subjectAltName=DNS:%s.ganglion.internal\nextendedKeyUsage=serverAuth,clientAuth\n' \
        "$role" >"$work/extensions"
    openssl x509 -req -in "$work/request" -CA "$work/ca.crt" -CAkey "$work/ca.key" \
        -CAcreateserial -days 3650 -extfile "$work/extensions" -out "$role/tls.crt" 2>/dev/null
    cp "$work/ca.crt" "$work/server-secret" "$role/"
    cp "postgres/$role" "$role/postgres-password"
done
printf 'ed25519 1 %s\n' "$(openssl rand -base64 32 | tr -d '=\n')" >event-persister/signing-key
# The tool reads the same configuration file, which names all of these.
cp client-reader/* migration/
cp postgres/migration migration/postgres-password
rm -rf "$work"

for owner in 65532:client-reader 65532:event-persister 65532:pusher 65532:migration postgres:postgres; do
    chown -R "${owner%%:*}" "${owner#*:}"
done
touch postgres/done
