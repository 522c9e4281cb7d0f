"""The ASGI application: pages, sockets, and the raw routes that must not pass through Django.

Uploads of masked inputs and downloads of payloads are raw ASGI because Django reads a whole request body before
any view can refuse it. Sockets of pages carry a session and need an Origin of ours; sockets of agents carry a
signed challenge instead and have no Origin. A composition root: see `marketplace.urls`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings.local")

import django

django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings

from marketplace.cross_origin import ForTabs
from marketplace.garbage import look_seldom
from marketplace.handlers import INTERNAL, InternalHandler, PageHandler
from marketplace.telemetry import Traced

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]
Hook = Callable[[], Awaitable[None]]

pages = PageHandler()
raw_routes: dict[str, App] = {INTERNAL: InternalHandler()}
agent_sockets: list[Any] = []
on_start: list[Hook] = []
on_stop: list[Hook] = []

if "distributor" in settings.ROLES:
    from wallets.distributor import lifespan as distributor_lifespan
    from wallets.distributor import routing as distributor_routing
    from wallets.distributor.payloads import PayloadApp

    raw_routes["/wallets/payload/"] = ForTabs(PayloadApp(), site=settings.SITE_URL)
    agent_sockets += distributor_routing.websocket_urlpatterns
    on_start.append(distributor_lifespan.start)
    on_stop.append(distributor_lifespan.stop)
if "aggregator" in settings.ROLES:
    from aggregation.server import lifespan as aggregator_lifespan
    from aggregation.server import routing as aggregator_routing
    from aggregation.server.openings import APPEALS, OPENINGS
    from aggregation.server.slots import SlotApp

    raw_routes["/aggregator/slots/"] = ForTabs(SlotApp(), site=settings.SITE_URL)
    raw_routes["/aggregator/payout-openings"] = ForTabs(OPENINGS, site=settings.SITE_URL)
    raw_routes["/aggregator/appeals"] = ForTabs(APPEALS, site=settings.SITE_URL)
    agent_sockets += aggregator_routing.websocket_urlpatterns
    on_start.append(aggregator_lifespan.start)
    on_stop.append(aggregator_lifespan.stop)
page_sockets: Any = URLRouter([])
if "web" in settings.ROLES:
    from channels.auth import AuthMiddlewareStack
    from channels.security.websocket import AllowedHostsOriginValidator

    from marketplace.jobs import routing as jobs_routing

    page_sockets = AllowedHostsOriginValidator(
        AuthMiddlewareStack(URLRouter(jobs_routing.websocket_urlpatterns))
    )


async def http(scope: Scope, receive: Any, send: Any) -> None:
    for prefix, app in raw_routes.items():
        if scope["path"].startswith(prefix):
            await app(scope, receive, send)
            return
    await pages(scope, receive, send)


_agents = {f"/{route.pattern}": route.callback for route in agent_sockets}
"""By their whole path: a router would copy the scope for each of ten thousand sockets."""


async def websocket(scope: Scope, receive: Any, send: Any) -> None:
    await _agents.get(scope["path"], page_sockets)(scope, receive, send)


async def lifespan(scope: Scope, receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            look_seldom()  # here and not above: a test that imports this module keeps its own collector
            for start in on_start:
                await start()
            await send({"type": "lifespan.startup.complete"})
        else:
            for stop in reversed(on_stop):
                await stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


application = Traced(ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": lifespan}))
