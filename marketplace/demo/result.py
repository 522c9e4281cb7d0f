"""What a demo run found out: plain facts, filled while it runs, turned into checks and a report at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from marketplace.demo.scan import Finding


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """A model on the consumer's own test split. Accuracy and AUC in 0..1, log-loss in nats."""

    accuracy: float
    auc: float
    log_loss: float


@dataclass(kw_only=True)
class RoundFacts:
    number: int
    state: str
    invited: int = 0
    accepted: int = 0
    delivered: int = 0
    joined: int = 0
    survivors: int = 0
    receipts: int = 0
    buckets: int = 0
    reason: str = ""
    metrics: Metrics | None = None

    @property
    def dropped(self) -> int:
        """Delivered wallets that are not in the sum."""
        return self.delivered - self.survivors


@dataclass(frozen=True, kw_only=True)
class FaultFacts:
    """One planned fault and what became of it."""

    round: int
    kind: str
    after: str
    planned: int
    happened: int


@dataclass(kw_only=True)
class MoneyFacts:
    """Base units."""

    rate: int
    budget: int
    spent: int
    refunded: int
    visits_ledger: int
    visits_paid: int
    paid: int
    carried: int
    held_over: int
    reconciled: bool
    reconciliation: list[tuple[str, int, int]] = field(default_factory=list)
    """(line, ledger figure, chain figure)"""


@dataclass(frozen=True, kw_only=True)
class TabFacts:
    """Wallets in tabs of a browser, by their own journals: the rounds each was paid for, base units earned together."""

    browser: str
    rounds: list[list[int]]
    invited: int
    earned: int
    picture: bytes
    """The page “Now” of the first of them, JPEG."""

    @property
    def visits(self) -> int:
        return sum(map(len, self.rounds))


@dataclass(frozen=True, kw_only=True)
class Check:
    name: str
    ok: bool
    detail: str


@dataclass(kw_only=True)
class DemoResult:
    title: str
    generated_data: bool
    wallets: int
    test_people: int
    cohort: int
    rounds_planned: int
    seed: int
    notes: list[str] = field(default_factory=list)
    """What was shortened or simplified for the demo, said plainly."""
    central: Metrics | None = None
    rounds: list[RoundFacts] = field(default_factory=list)
    faults: list[FaultFacts] = field(default_factory=list)
    faults_of_servers: list[str] = field(default_factory=list)
    """Server processes that were killed, as `part in round n`."""
    revocation: list[str] = field(default_factory=list)
    revoked_at_once: bool = False
    revoked_visited_again: bool = False
    ending: str = ""
    """How the job ended, in its own words."""
    money: MoneyFacts | None = None
    tabs: TabFacts | None = None
    findings: list[Finding] = field(default_factory=list)
    places_scanned: int = 0
    bytes_scanned: int = 0
    checks: list[Check] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    def released(self) -> list[RoundFacts]:
        return [r for r in self.rounds if r.metrics is not None]
