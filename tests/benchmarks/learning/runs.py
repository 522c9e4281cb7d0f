"""What is run for a data folder, scaled to its people, and the targets on the main case (Adult, cohort 1,000)."""

from __future__ import annotations

from aggregation.privacy import adaptive
from collectives.training import plateau
from tests.benchmarks.learning.attackers import Attack
from tests.benchmarks.learning.engine import Formal, Run
from tests.benchmarks.learning.oneshot import OneShot

LARGEST_COHORT, SMALLEST_COHORT = 1000, 100
HIDDEN = (64, 32)
SIXTEEN = {"value_bits": 16, "fraction_bits": 14}
"""16-bit fixed point: a clip of 1, and room for the rounding."""
WHOLE_COHORT = {"value_bits": 21, "fraction_bits": 16}
"""One bucket of a thousand and more wallets leaves 21 bits of the ring to each."""


def cohort_for(wallets: int) -> int:
    """A thirtieth of the wallets, but 1,000 at most; a small set is drawn from more often."""
    return min(LARGEST_COHORT, max(SMALLEST_COHORT, wallets // 11))


def runs_for(wallets: int) -> tuple[Run, ...]:
    """Every run of the engine."""
    cohort = cohort_for(wallets)
    visible = wallets // (wallets // cohort)
    return (
        Run(name="linear", rounds=50, cohort=cohort, rate=LINEAR_RATE),
        Run(name="linear-momentum", rounds=50, cohort=cohort, rate=MOMENTUM_RATE, optimiser="momentum"),
        Run(name="linear-fedavg", rounds=50, cohort=cohort, rate=LINEAR_RATE, local_steps=5, local_rate=0.2),
        Run(name="linear-adaptive-clip", rounds=50, cohort=cohort, rate=LINEAR_RATE, clip=0.05, adaptive=adaptive.Rule()),
        Run(name="linear-plateau", rounds=200, cohort=cohort, rate=LINEAR_RATE, decay=False, plateau=plateau.Rule()),
        Run(name="linear-dropout30", rounds=50, cohort=cohort, rate=LINEAR_RATE, dropouts=0.3),
        Run(name="linear-float", rounds=50, cohort=cohort, rate=LINEAR_RATE, floating=True),
        Run(name="linear-fixed16", rounds=50, cohort=cohort, rate=LINEAR_RATE, quiet=True, **SIXTEEN),  # type: ignore[arg-type]
        Run(name="mlp", rounds=100, cohort=cohort, hidden=HIDDEN, rate=MLP_RATE),
        *(_secret(epsilon, clip, rate, cohort) for epsilon, clip, rate in FORMAL),
        Run(
            name="linear-eps8-visible",
            rounds=4 * (wallets // visible),
            cohort=visible,
            clip=VISIBLE[0],
            rate=VISIBLE[1],
            formal=Formal(epsilon=8.0, secret=False, visits=4),
            average=True,
            **WHOLE_COHORT,  # type: ignore[arg-type]
        ),
        Run(name="linear-tamper5-bounded", rounds=100, cohort=cohort, clip=4.0, rate=LINEAR_RATE, attack=Attack(share=0.05, norm=4.0)),
        Run(name="linear-tamper5-unbounded", rounds=100, cohort=cohort, clip=4.0, rate=LINEAR_RATE, attack=Attack(share=0.05, norm=100.0, bounded=False)),
    )  # fmt: skip


LINEAR_RATE, MOMENTUM_RATE, MLP_RATE = 0.1, 0.5, 0.01
FORMAL = ((8.0, 2.0, 0.1), (3.0, 2.0, 0.1), (1.0, 2.0, 0.1))
"""(ε, clip, server's rate) with secret cohorts, 400 rounds."""
VISIBLE = (2.0, 0.1)
ONE_SHOTS = (OneShot(name="ridge"), OneShot(name="ridge-eps1", epsilon=1.0))


def _secret(epsilon: float, clip: float, rate: float, cohort: int) -> Run:
    return Run(
        name=f"linear-eps{epsilon:g}",
        rounds=400,
        cohort=cohort,
        clip=clip,
        rate=rate,
        formal=Formal(epsilon=epsilon),
        average=True,
        **WHOLE_COHORT,  # type: ignore[arg-type]
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
