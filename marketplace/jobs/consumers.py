"""The live page's socket: says "changed", and sends the fragment the server rendered for this person."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import override

from marketplace.jobs import live
from marketplace.jobs.models import Order


class JobConsumer(AsyncWebsocketConsumer):
    """A door: only who ordered the job, or an administrator, gets its fragments.

    `?language=` is the language of the page that asks: no middleware chooses one for a socket.
    """

    group: str | None = None

    async def connect(self) -> None:
        self.job_id: uuid.UUID = self.scope["url_route"]["kwargs"]["job_id"]
        if await self._order() is None:
            await self.close(code=4403)
            return
        self.group = f"job.{self.job_id}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.job_changed({})

    async def disconnect(self, code: int) -> None:
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def job_changed(self, event: dict[str, Any]) -> None:
        html = await self._fragment()
        if html is not None:
            await self.send(text_data=html)

    @database_sync_to_async
    def _order(self) -> Order | None:
        return self._visible()

    @database_sync_to_async
    def _fragment(self) -> str | None:
        order = self._visible()
        with override(self._language()):
            return render_to_string("jobs/_live.html", live.context(order)) if order else None

    def _language(self) -> str:
        asked = parse_qs(self.scope["query_string"].decode("latin-1")).get("language", [""])[0]
        return asked if asked in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE

    def _visible(self) -> Order | None:
        user = self.scope.get("user")
        if user is None or not user.is_authenticated:
            return None
        orders = Order.objects.filter(job_id=self.job_id)
        return (orders if user.is_staff else orders.filter(consumer=user)).first()
