"""What a page costs does not grow with what it lists."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.apps.cast import World
from tests.apps.crowd import MORE, crowd

MOST_QUERIES = 26
PAGES = {
    "home": "",
    "catalogue": "",
    "algorithm-list": "",
    "collective": "",
    "algorithm": "",
    "wallet": "ivo",
    "subscription": "ivo",
    "api-tokens": "ivo",
    "jobs": "carla",
    "job": "carla",
    "result": "carla",
    "compare": "carla",
    "funds": "carla",
    "models": "carla",
    "console": "alice",
    "collective-register": "alice",
    "collective-console": "alice",
    "collective-terms": "alice",
    "collective-announce": "alice",
    "collective-rounds": "alice",
    "collective-orders": "alice",
    "collective-settlement": "alice",
    "algorithms": "aron",
    "algorithm-ready-made": "aron",
}


def test_lists_cost_the_same_queries_for_one_and_for_many(world: World) -> None:
    clients = {who: world.client(who) for who in {*PAGES.values()}}
    about = {
        "algorithm": world.algorithm.manifest_hash,
        "subscription": world.link.pk,
        **dict.fromkeys(("job", "result", "compare"), world.order.job_id),
        **{
            name: world.collective.pk
            for name in PAGES
            if name.startswith("collective") and name != "collective-register"
        },
    }

    def cost(name: str) -> int:
        url = reverse(name, args=[about[name]] if name in about else [])
        with CaptureQueriesContext(connection) as queries:
            assert clients[PAGES[name]].get(url).status_code == 200, name
        return len(queries)

    crowd(world)  # the first crowd, so that no list is empty and skips a query
    before = {name: cost(name) for name in PAGES}
    crowd(world, MORE)
    after = {name: cost(name) for name in PAGES}
    grown = {name: (before[name], after[name]) for name in PAGES if after[name] > before[name]}
    assert grown == {}
    assert {name: number for name, number in after.items() if number > MOST_QUERIES} == {}
