#!/bin/sh
# Static files with their fingerprints, into the folder named. Needs no server and no secret: the values below only let the settings load.
set -eu
target="$1"
cd "$(dirname "$0")/../.."
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
CSSI_VAR="$scratch/var" DJANGO_SETTINGS_MODULE=marketplace.settings.local python manage.py make_keys "$scratch/keys" >/dev/null
DJANGO_SETTINGS_MODULE=marketplace.settings.production DJANGO_SECRET_KEY="$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" \
    CSSI_ROLES=web CSSI_HOSTS=localhost CSSI_SITE_URL=https://localhost CSSI_KEYS_DIR="$scratch/keys" \
    MARKET_DATABASE_URL=postgres://nobody@localhost/none REDIS_URL=redis://localhost:1 EMAIL_URL=dummymail:// \
    CSSI_FROM_EMAIL=nobody@localhost CHAIN_ID=1 CHAIN_RPC_URL=http://localhost:1 CSSI_STATIC_ROOT="$target" \
    python manage.py collectstatic --noinput --verbosity 0
