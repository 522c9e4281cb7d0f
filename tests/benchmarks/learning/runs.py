"""What is run for a data folder, scaled to its people, and the targets on the main case (Adult, cohort 1,000)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aggregation.privacy import adaptive
from collectives.training import plateau
from tests.benchmarks.learning.attackers import Attack
from tests.benchmarks.learning.draws import sampling_for
from tests.benchmarks.learning.engine import ACCEPTED, RELEASE_MIN, Formal, Run
from tests.benchmarks.learning.oneshot import OneShot

LARGEST_COHORT, SMALLEST_COHORT = 1000, 150
HIDDEN = (64, 32)
SIXTEEN: dict[str, Any] = {"value_bits": 16, "fraction_bits": 13}
"""16-bit fixed point: from −4 to 4, a clip of 2 and room for the rounding."""
WHOLE_COHORT: dict[str, Any] = {"value_bits": 21, "fraction_bits": 16}
"""One bucket of a thousand and more wallets leaves 21 bits of the ring to each."""
CLIP, RATE, MOMENTUM_RATE, MLP_RATE = 2.0, 0.2, 2.0, 0.03
FORMAL = {8.0: 0.1, 3.0: 0.1, 1.0: 0.1}
"""ε: the server's rate over 400 rounds with secret cohorts."""
VISIBLE_RATE = 0.1
ONE_SHOTS = (
    OneShot(name="ridge", quiet=True),
    OneShot(name="ridge-floor"),
    OneShot(name="ridge-eps1", epsilon=1.0),
)


def cohort_for(wallets: int) -> int:
    """1,000 at most; where there are fewer people an eleventh of them, so that a small set is drawn from more often."""
    return min(LARGEST_COHORT, max(SMALLEST_COHORT, wallets // 11))


def runs_for(wallets: int) -> tuple[Run, ...]:
    """Every run of the engine that this many wallets are enough for."""
    plain = Run(name="linear", rounds=50, cohort=cohort_for(wallets), clip=CLIP, rate=RATE)
    bounded, unbounded = Attack(share=0.05, norm=4.0), Attack(share=0.05, norm=100.0, bounded=False)
    every = (
        plain,
        replace(plain, name="mlp", rounds=100, hidden=HIDDEN, rate=MLP_RATE, one_bucket=True, **WHOLE_COHORT),
        replace(plain, name="linear-dropout30", dropouts=0.3),
        replace(plain, name="linear-float", floating=True),
        replace(plain, name="linear-fixed16", quiet=True, **SIXTEEN),
        *(_secret(plain, epsilon, rate) for epsilon, rate in FORMAL.items()),
        _visible(plain, wallets),
        replace(plain, name="linear-tamper5-bounded", rounds=100, clip=4.0, attack=bounded),
        replace(plain, name="linear-tamper5-unbounded", rounds=100, clip=4.0, attack=unbounded),
        replace(plain, name="linear-momentum", rate=MOMENTUM_RATE, optimiser="momentum"),
        replace(plain, name="linear-fedavg", local_steps=5, local_rate=0.2),
        replace(plain, name="linear-adaptive-clip", clip=0.05, adaptive=adaptive.Rule(target=0.9)),
        replace(plain, name="linear-plateau", rounds=200, decay=False, plateau=plateau.Rule()),
    )
    return tuple(run for run in every if run.formal is None or _least(run, wallets) >= RELEASE_MIN)


def _least(run: Run, wallets: int) -> int:
    """The smallest cohort that a formal run accepts."""
    if run.formal and run.formal.secret:
        return sampling_for(wallets=wallets, cohort=run.cohort, rounds=run.rounds).least
    return round(run.cohort * ACCEPTED)


def _secret(plain: Run, epsilon: float, rate: float) -> Run:
    formal = Formal(epsilon=epsilon)
    name = f"linear-eps{epsilon:g}"
    return replace(plain, name=name, rounds=400, rate=rate, formal=formal, average=True, **WHOLE_COHORT)


def _visible(plain: Run, wallets: int) -> Run:
    """Disjoint cohorts in four whole passes, so that nobody is visited a fifth time."""
    passes = wallets // plain.cohort
    formal = Formal(epsilon=8.0, secret=False, visits=4)
    return replace(
        plain,
        name="linear-eps8-visible",
        rounds=4 * passes,
        cohort=wallets // passes,
        rate=VISIBLE_RATE,
        formal=formal,
        average=True,
        **WHOLE_COHORT,
    )


KEYS = {
    "linear_50k_acc": ("linear", "accuracy", 0.857),
    "linear_50k_auc": ("linear", "auc", 0.911),
    "mlp_100k_auc": ("mlp", "auc", 0.913),
    "dropout30_auc": ("linear-dropout30", "auc", 0.910),
    "eps8_auc": ("linear-eps8", "auc", 0.911),
    "eps3_auc": ("linear-eps3", "auc", 0.909),
    "eps1_auc": ("linear-eps1", "auc", 0.906),
    "oneshot_eps1_auc": ("ridge-eps1", "auc", 0.892),
    "tamper5_auc": ("linear-tamper5-bounded", "auc", 0.900),
}
"""Key of the last line: (run, figure, at least this on Adult)."""
DIFFERENCES = {
    "fixed16_auc_diff": ("linear-float", "linear-fixed16", 0.0005),
    "oneshot_auc_diff": ("ridge-central", "ridge", 0.0005),
}
"""Key: (run, run, at most this between their AUC on Adult)."""
ORDER = (
    "linear_50k_acc linear_50k_auc mlp_100k_auc dropout30_auc fixed16_auc_diff eps8_auc eps3_auc eps1_auc oneshot_auc_diff "
    "oneshot_eps1_auc tamper5_auc"
).split()
