#!/bin/sh
# Secrets and keys of a new site, each role's in a folder of its own; what exists is kept. Run it once where the site will run.
#   deploy/compose/prepare.sh            needs `python manage.py` to work here, or set CSSI_MANAGE to a command that does
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
target="${1:-$here}"
umask 077
random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
# keep FILE VALUE: writes the value unless the file exists.
keep() { [ -e "$1" ] || printf '%s' "$2" >"$1"; }

for role in web distributor aggregator issuer; do
    case "$role" in web) domain=market ;; *) domain="$role" ;; esac
    folder="$target/secrets/$role"
    mkdir -p "$folder"
    keep "$folder/database-superuser" "$(random)"
    keep "$folder/database-password" "$(random)"
    keep "$folder/database" "postgres://$domain:$(cat "$folder/database-password")@$role-database:5432/$domain"
    password="$(random)"
    keep "$folder/redis-users" "user default off
user $role on >$password ~$role:* &$role:* +@all -@admin -@dangerous +info +client
"
    keep "$folder/redis" "redis://$role:$password@$role-redis:6379/0"
done
keep "$target/secrets/web/email" "smtp+tls://user:password@mail.example.org:587"
keep "$target/secrets/web/chain" "https://rpc.example.org"
cd "$here/../.."
${CSSI_MANAGE:-python manage.py} make_keys --apart "$target/keys"
echo "Now put the mail server into secrets/web/email, the chain's endpoint into secrets/web/chain, the chain's keys into keys/web/chain,"
echo "and certificate and key into tls/. Containers run as user 10001: give it keys/ and secrets/ (chown -R 10001:10001)."
