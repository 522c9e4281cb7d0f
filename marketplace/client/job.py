"""One ordered job: fund it, watch it, take its models, report what you measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from marketplace.client.http import Connection
from marketplace.client.records import Checkpoint, JobState, Round

TRAINED = frozenset({"completed", "budget_exhausted", "privacy_exhausted", "stopped", "settled"})
OVER = TRAINED | {"failed", "returned"}
"""Nothing is learned after these. `settled` also means that the rest of the budget is back."""


class Job:
    """A handle on a job of yours. `state` is as of the last call; `refresh` asks again."""

    def __init__(self, connection: Connection, state: JobState) -> None:
        self._connection = connection
        self.state = state

    def __repr__(self) -> str:
        return f"Job({self.id}: {self.state.sentence})"

    @property
    def id(self) -> str:
        return self.state.job_id

    @property
    def over(self) -> bool:
        return self.state.status in OVER

    def refresh(self) -> JobState:
        self.state = JobState.of(self._connection.get(f"jobs/{self.id}"))
        return self.state

    def fund(self) -> Job:
        """Put the budget into escrow; repeating it changes nothing."""
        return self._do("fund")

    def pause(self) -> Job:
        return self._do("pause")

    def resume(self) -> Job:
        return self._do("resume")

    def stop(self) -> Job:
        """After the running round; the rest of the budget comes back."""
        return self._do("stop")

    def wait(
        self,
        *,
        until: Callable[[JobState], bool] | None = None,
        seconds: float = 3600.0,
        every: float = 5.0,
        seen: Callable[[JobState], Any] | None = None,
    ) -> JobState:
        """Ask every few seconds until the job is over, or until `until` says so; `seen` is told of each new sentence.

        Raises:
            TimeoutError: neither came to pass in `seconds`; the job goes on.
        """
        deadline, told = time.monotonic() + seconds, ""
        while True:
            state = self.refresh()
            if seen is not None and state.sentence != told:
                seen(state)
            told = state.sentence
            if self.over if until is None else until(state):
                return state
            if time.monotonic() + every > deadline:
                raise TimeoutError(f"After {seconds:g} seconds: {state.sentence}")
            time.sleep(every)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """The models so far, the first one first."""
        return map(Checkpoint.of, self._connection.pages(f"jobs/{self.id}/checkpoints"))

    def download(self, number: int, path: str | Path) -> Path:
        """Keep the model file of a checkpoint; `collectives.training.checkpoint` reads it."""
        target = Path(path)
        target.write_bytes(self._connection.file(f"jobs/{self.id}/checkpoints/{number}"))
        return target

    def rounds(self) -> Iterator[Round]:
        """Closed rounds, newest first."""
        return map(Round.of, self._connection.pages(f"jobs/{self.id}/rounds"))

    def events(self) -> Iterator[dict[str, Any]]:
        """What became of the job and why, newest first."""
        return self._connection.pages(f"jobs/{self.id}/events")

    def report(self, checkpoint: int, name: str, value: float) -> None:
        """What you measured for a checkpoint on data of your own; a stop rule may end the job by it."""
        body = {"checkpoint": checkpoint, "name": name, "value": value}
        self._connection.post(f"jobs/{self.id}/metrics", body)

    def metrics(self) -> Iterator[dict[str, Any]]:
        return self._connection.pages(f"jobs/{self.id}/metrics")

    def card(self) -> dict[str, Any]:
        """The model card: facts of the job, none of them typed by anybody."""
        return dict(self._connection.get(f"jobs/{self.id}/card"))

    def compare(self, other: Job) -> list[dict[str, Any]]:
        """Both model cards line by line: `label`, `before` (this job), `after` (the other), `same`."""
        return list(self._connection.get(f"jobs/{self.id}/compare/{other.id}"))

    def _do(self, verb: str) -> Job:
        self.state = JobState.of(self._connection.post(f"jobs/{self.id}/{verb}"))
        return self
