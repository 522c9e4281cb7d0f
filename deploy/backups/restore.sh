#!/bin/sh
# One domain's backup back into its database, which must be empty: made anew by deploy/postgres/domain.sh, with nothing migrated.
#
#   restore.sh FILE CERTIFICATE KEY      with PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSFILE of the domain's own login
#
# Either everything of the backup is there afterwards or nothing. Stop the role's processes first; docs/operations.md says in which
# order domains come back and what is compared then.
set -eu
file="${1:?backup file}"
certificate="${2:?certificate it was encrypted to}"
key="${3:?its private key}"
umask 077
scratch="$(mktemp)"
trap 'rm -f "$scratch"' EXIT

if [ "$(psql -X -At -c "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")" != 0 ]; then
    echo "The database ${PGDATABASE:?} is not empty; restoring into it would mix two states. Drop it and make it with domain.sh." >&2
    exit 1
fi
# The whole file is decrypted and its authentication checked before a byte reaches the database.
openssl cms -decrypt -binary -inform DER -in "$file" -recip "$certificate" -inkey "$key" -out "$scratch"
pg_restore --exit-on-error --single-transaction --no-owner --no-privileges --dbname "$PGDATABASE" "$scratch"
