"""The marketplace: find a collective, order a job, look after what is yours."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx

from marketplace.client.http import Connection
from marketplace.client.job import Job
from marketplace.client.owner import OwnedCollective, elements
from marketplace.client.records import Algorithm, Collective, JobState


class Market:
    """`token` is made on the account page and acts as that account. Use it as a context manager, or `close` it."""

    def __init__(self, base_url: str, *, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self._connection = Connection(base_url, token, transport=transport)

    def __enter__(self) -> Market:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    # --- what everybody may see ---------------------------------------------------------------------------

    def collectives(
        self,
        search: str | None = None,
        *,
        field: str | None = None,
        cohort: int | None = None,
        rate: int | None = None,
        assurance: str | None = None,
        orders: str | None = None,
        sort: str | None = None,
    ) -> Iterator[Collective]:
        """The catalogue with its filters: a word of a data field, the smallest group at least, a rate in base units."""
        wanted = {"field": field, "cohort": cohort, "rate": rate, "assurance": assurance, "orders": orders}
        return map(Collective.of, self._connection.pages("collectives", search=search, sort=sort, **wanted))

    def collective(self, collective_id: str) -> Collective:
        """One collective with the algorithms it announced."""
        return Collective.of(self._connection.get(f"collectives/{collective_id}"))

    def terms(self, collective_id: str) -> dict[str, Any]:
        """The signed terms as a wallet reads them: `kind`, `document`, `key`, `signature`."""
        return dict(self._connection.get(f"collectives/{collective_id}/terms"))

    def algorithms(self, search: str | None = None) -> Iterator[Algorithm]:
        """Approved algorithms, newest first."""
        return map(Algorithm.of, self._connection.pages("algorithms", search=search))

    def algorithm(self, manifest_hash: str) -> Algorithm:
        return Algorithm.of(self._connection.get(f"algorithms/{manifest_hash}"))

    # --- a data consumer ----------------------------------------------------------------------------------

    def costs(self, collective_id: str, budget: int) -> dict[str, Any]:
        """What a job with this budget costs at most: every fee by name, and the gas. Base units."""
        return dict(self._connection.get(f"costs/{collective_id}", budget=str(budget)))

    def order(
        self,
        *,
        collective: str,
        algorithm: str,
        budget: int,
        rounds: int,
        plan: dict[str, Any] | None = None,
        stop_rule: dict[str, Any] | None = None,
        plateau: dict[str, Any] | None = None,
        request: str = "",
        judged: tuple[str, int] | None = None,
        key: str = "",
    ) -> Job:
        """Order a training job; `Job.fund` comes next. `budget` in base units, `algorithm` by its manifest's hash.

        `plateau`, such as {"evaluation": hash, "every": 5}, has other wallets judge the models and stops where they get no better.

        The same `key` with the same order again is the same job; without one, each call orders anew, though an answer that
        got lost on the way never orders twice.
        """
        body: dict[str, Any] = {
            "collective_id": collective,
            "manifest_hash": algorithm,
            "budget": str(budget),
            "max_rounds": rounds,
        }
        body |= {"plan": plan} if plan else {}
        body |= {"stop_rule": stop_rule} if stop_rule else {}
        body |= {"plateau": plateau} if plateau else {}
        body |= {"request": request} if request else {}
        body |= {"judged": {"job_id": judged[0], "number": judged[1]}} if judged else {}
        placed = self._connection.post("jobs", body, key=key or uuid.uuid4().hex)
        return Job(self._connection, JobState.of(placed))

    def jobs(self) -> Iterator[Job]:
        """Your jobs, newest first."""
        return (Job(self._connection, JobState.of(m)) for m in self._connection.pages("jobs"))

    def job(self, job_id: str) -> Job:
        return Job(self._connection, JobState.of(self._connection.get(f"jobs/{job_id}")))

    # --- an owner and an author ---------------------------------------------------------------------------

    def my_collectives(self) -> Iterator[OwnedCollective]:
        found = self._connection.pages("my/collectives")
        return (OwnedCollective(self._connection, Collective.of(m)) for m in found)

    def register(self, **given: Any) -> OwnedCollective:
        """A new collective: name, purpose, task_description, requirement (JSON Schema), rate, and what differs from the usual."""
        made = self._connection.post("my/collectives", elements(given))
        return OwnedCollective(self._connection, Collective.of(made))

    def my_algorithms(self) -> Iterator[Algorithm]:
        return map(Algorithm.of, self._connection.pages("my/algorithms"))

    def submit(self, manifest: dict[str, Any], *, name: str = "") -> Algorithm:
        """Submit an algorithm for review; the same manifest again is the same algorithm."""
        return Algorithm.of(self._connection.post("my/algorithms", {"manifest": manifest, "name": name}))
