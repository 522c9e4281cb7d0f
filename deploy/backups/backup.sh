#!/bin/sh
# One trust domain's database into one encrypted file. Each domain is backed up by itself, with a key of its own: a single archive
# of all would be the one place where everything can be put together.
#
#   backup.sh FOLDER RECIPIENT-FILE      with PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSFILE of the domain's own login
#
# RECIPIENT-FILE is a certificate (PEM) whose private key is not on this machine: openssl cms encrypts to it, so whoever takes over
# the backup's machine cannot read older backups. Prints the file's name. Older files are removed by whoever keeps them, not here.
set -eu
folder="${1:?folder for the backup}"
recipient="${2:?certificate to encrypt to}"
umask 077
name="$folder/${PGDATABASE:?}-$(date -u +%Y%m%dT%H%M%SZ).dump.cms"
scratch="$name.part"
trap 'rm -f "$scratch" "$scratch.status"' EXIT
# A pipe hides the first program's failure from sh; a dump that broke off must not look like a backup.
if { pg_dump --format=custom --no-owner --no-privileges || echo failed >"$scratch.status"; } |
    openssl cms -encrypt -binary -stream -outform DER -aes-256-gcm -recip "$recipient" -out "$scratch" &&
    [ ! -e "$scratch.status" ]; then
    mv "$scratch" "$name"
    printf '%s\n' "$name"
else
    echo "The dump failed; nothing was kept." >&2
    exit 1
fi
