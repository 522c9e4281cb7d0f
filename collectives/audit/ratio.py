"""Release ratio: numbers in a sum per wallet and field. With more lines than unknowns a sum can be solved like equations.

The limit is the wallets' own (`most_ratio`): 1 for exact statistics, 3 for trained models, none under formal terms. An algorithm
whose smallest lawful cohort is larger than collectives are is refused here: it would only ever run where somebody looked away.
"""

from __future__ import annotations

from collectives.audit.conditions import wallets_needed
from collectives.audit.parts import Curve, Figure, Part
from collectives.audit.subject import Subject
from collectives.terms.algorithm import most_ratio, release_ratio

MOST_WALLETS = 2_000


def ratio(subject: Subject) -> Part:
    manifest, conditions = subject.manifest, subject.conditions
    formal = conditions.epsilon is not None
    found, most = release_ratio(manifest, conditions.release_min), most_ratio(manifest)
    needed = wallets_needed(manifest)
    sizes = (20, 50, 100, 200, 500, 1000, 2000)
    return Part(
        name="ratio",
        title="Release ratio",
        sentence=(
            f"One sum over {conditions.release_min:,} wallets says {subject.length:,} numbers about "
            f"{len(manifest.inputs) + len(manifest.target)} fields of each; wallets take part from {needed:,} on."
        ),
        figures=(
            Figure(name="numbers released per wallet and field", value=found, limit=None if formal else most),
            Figure(
                name="wallets that wallets insist on", value=needed, limit=None if formal else MOST_WALLETS
            ),
        ),
        curves=(
            Curve(
                title="Numbers per wallet and field, by the size of the sum",
                x_label="wallets",
                labels=sizes,
                series=(
                    ("this algorithm", tuple(release_ratio(manifest, size) for size in sizes)),
                    ("limit", (most,) * len(sizes)),
                ),
            ),
        ),
    )
