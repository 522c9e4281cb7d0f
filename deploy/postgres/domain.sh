#!/bin/sh
# One trust domain on a PostgreSQL server: a login of its own, a database of its own, closed to everybody else.
# May be run again; it then sets the password anew.
#
#   domain.sh market /run/secrets/market-password
#
# Connects as the server's superuser by psql's own variables (PGHOST, PGPORT, PGUSER, PGPASSWORD). On the server's first start in a
# container it needs no arguments: CSSI_DOMAIN and CSSI_DOMAIN_PASSWORD_FILE say the same.
set -eu
domain="${1:-${CSSI_DOMAIN:?name the domain: market, distributor, aggregator or issuer}}"
secret="${2:-${CSSI_DOMAIN_PASSWORD_FILE:?name the file with the password}}"
export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}"

quoted() { sed -e 's/\\/\\\\/g' -e "s/'/''/g"; }

# The password goes in by standard input: a command line is visible to every user of the machine.
{
    printf "\\set domain '%s'\n" "$(printf %s "$domain" | quoted)"
    printf "\\set password '%s'\n" "$(quoted <"$secret")"
    cat <<'SQL'
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SELECT format('CREATE ROLE %I', :'domain') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'domain') \gexec
ALTER ROLE :"domain" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
-- Text is compared byte by byte, as in the embedded databases: the order of a list must not depend on the machine's language.
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING ''UTF8'' LC_COLLATE ''C'' LC_CTYPE ''C.UTF-8''', :'domain', :'domain')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'domain') \gexec
-- By default anybody who can log in may connect to any database. Here nobody but the owner.
REVOKE ALL ON DATABASE :"domain" FROM PUBLIC;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
REVOKE CONNECT ON DATABASE template1 FROM PUBLIC;
SQL
} | psql --no-psqlrc --quiet --dbname postgres --file -
