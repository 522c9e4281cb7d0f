#!/bin/sh
# What a container of the image runs. The same image serves every role: CSSI_ROLES says which, the command says what of it.
#
#   web       pages, API and sockets of the role       WEB_CONCURRENCY processes (default 2)
#   worker    background work                          CSSI_QUEUES (default: all of the role), CSSI_WORKERS processes (default 2)
#   beat      the timetable, once per role
#   migrate   the role's tables, then ends
#   manage …  any other command of manage.py
set -eu
cd "$(dirname "$0")/../.."
# Vectors go back to the system when they are let go: glibc would keep them from the second one on (mallopt(3), M_MMAP_THRESHOLD).
export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-1048576}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}" PYTHONUNBUFFERED=1
export DJANGO_SETTINGS_MODULE="${DJANGO_SETTINGS_MODULE:-marketplace.settings.production}"

what="${1:-web}"
[ $# -eq 0 ] || shift
case "$what" in
web)
    # Only the proxy's word about a caller's address counts. Limits of frames and idle sockets are those of the embedded site.
    exec python -m uvicorn marketplace.asgi:application \
        --host "${CSSI_BIND:-0.0.0.0}" --port "${CSSI_PORT:-8000}" --workers "${WEB_CONCURRENCY:-2}" \
        --proxy-headers --forwarded-allow-ips "${CSSI_PROXY:-127.0.0.1}" \
        --loop uvloop --http marketplace.http_protocol:HttpProtocol --ws websockets-sansio --ws-max-size 65536 --ws-per-message-deflate false \
        --ws-ping-interval 60 --ws-ping-timeout 120 --backlog 4096 --timeout-keep-alive 75 \
        --timeout-graceful-shutdown 20 --no-access-log --no-server-header --log-level warning --lifespan on
    ;;
worker)
    exec python -m celery -A marketplace --quiet worker ${CSSI_QUEUES:+--queues "$CSSI_QUEUES"} \
        --concurrency "${CSSI_WORKERS:-2}" --max-tasks-per-child "${CSSI_TASKS_PER_CHILD:-2000}" \
        --without-gossip --without-mingle --loglevel INFO --hostname "${CSSI_ROLES:-site}-${CSSI_QUEUES:-all}@%h"
    ;;
beat)
    # In memory: every task is short and repeats, so nothing is lost when the container is replaced.
    exec python -m celery -A marketplace --quiet beat --scheduler marketplace.timetable:Timetable --pidfile= --loglevel INFO
    ;;
migrate) exec python manage.py migrate_domains ;;
manage) exec python manage.py "$@" ;;
*)
    echo "There is no '$what' here: web, worker, beat, migrate or manage." >&2
    exit 2
    ;;
esac
