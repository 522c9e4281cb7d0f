"""A collective of one's own: terms, notices, orders that wait, rounds. Numbers of people come in steps, never who."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marketplace.client.http import Connection
from marketplace.client.records import Collective, Round


def elements(given: dict[str, Any]) -> dict[str, Any]:
    """The elements of terms as the API takes them: the rate, in base units, as a decimal string."""
    return given | ({"rate": str(given["rate"])} if "rate" in given else {})


class OwnedCollective:
    def __init__(self, connection: Connection, card: Collective) -> None:
        self._connection = connection
        self.card = card
        self._base = f"collectives/{card.id}"

    def __repr__(self) -> str:
        return f"OwnedCollective({self.card.name}, {self.card.subscribers} subscribers)"

    def versions(self) -> Iterator[dict[str, Any]]:
        """Every version of the terms with its document, newest first."""
        return self._connection.pages(f"{self._base}/versions")

    def propose(self, **changes: Any) -> dict[str, Any]:
        """Sign a new version with these elements changed; subscriptions keep the version their wallet signed."""
        return dict(self._connection.post(f"{self._base}/versions", elements(changes)))

    def announcements(self) -> Iterator[dict[str, Any]]:
        return self._connection.pages(f"{self._base}/announcements")

    def announce(self, manifest_hash: str, reason: str) -> dict[str, Any]:
        """Tell every subscriber of an approved algorithm; it runs after the notice period."""
        body = {"manifest_hash": manifest_hash, "reason": reason}
        return dict(self._connection.post(f"{self._base}/announcements", body))

    def withdraw(self, announcement_id: str) -> None:
        self._connection.post(f"{self._base}/announcements/{announcement_id}/withdraw")

    def orders(self) -> Iterator[dict[str, Any]]:
        """Orders that wait for your decision, the oldest first."""
        return self._connection.pages(f"{self._base}/orders")

    def approve(self, job_id: str) -> dict[str, Any]:
        return dict(self._connection.post(f"{self._base}/orders/{job_id}/approve"))

    def return_order(self, job_id: str, reason: str) -> dict[str, Any]:
        return dict(self._connection.post(f"{self._base}/orders/{job_id}/return", {"reason": reason}))

    def jobs(self) -> Iterator[dict[str, Any]]:
        return self._connection.pages(f"{self._base}/jobs")

    def rounds(self) -> Iterator[Round]:
        return map(Round.of, self._connection.pages(f"{self._base}/rounds"))
