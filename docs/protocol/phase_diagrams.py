"""Draw the phase tables of `aggregation.secagg.phases` as SVG (`--check` only compares with what is there).

Run it from the project's root: `python docs/protocol/phase_diagrams.py`. One column is the way forward, with what is taken inside a phase
beside its box; the rail on the right is the one event every phase ends with when something fails.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from aggregation.secagg import phases  # noqa: E402

Table = Mapping[tuple[Enum, Enum], Enum]
BOX_WIDTH, BOX_HEIGHT, STEP, LEFT, TOP = 150, 34, 84, 24, 56
RAIL = 470
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1d2733}.title{font-weight:600;font-size:15px}"
    ".event{fill:#3b4a5a;font-size:12px}.box{fill:#eef4fb;stroke:#2f5d8a;stroke-width:1.4}"
    ".end{fill:#fdf1ee;stroke:#a2452f}.line{stroke:#2f5d8a;stroke-width:1.4;fill:none}"
    ".fail{stroke:#a2452f;stroke-width:1.2;fill:none;stroke-dasharray:4 3}"
)
ARROWS = (
    '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#2f5d8a"/></marker>'
    '<marker id="f" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#a2452f"/></marker></defs>'
)


def chain(table: Table, start: Enum, failing: Enum) -> list[Enum]:
    """The phases from the start along the way forward."""
    order = [start]
    while True:
        following = [
            target
            for (source, event), target in table.items()
            if source is order[-1] and event is not failing and target is not source
        ]
        if not following:
            return order
        assert len(following) == 1, "a phase has one way forward"
        order.append(following[0])


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def box(x: float, y: float, phase: Enum, *, end: bool) -> str:
    shape = f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7" class="box{" end" if end else ""}"/>'
    return shape + text(x + BOX_WIDTH / 2, y + 22, phase.value, anchor="middle")


def diagram(title: str, table: Table, start: Enum, failing: Enum) -> str:
    order = chain(table, start, failing)
    sink = next(target for (_, event), target in table.items() if event is failing)
    inside = sink in order
    height = TOP + STEP * (len(order) - 1 + (not inside)) + BOX_HEIGHT + 24
    parts = [text(LEFT, 30, title, "title")]
    for place, phase in enumerate(order):
        parts += _phase(table, failing, order, place, phase, sink)
    end = TOP + STEP * (order.index(sink) if inside else len(order))
    if not inside:
        parts.append(box(LEFT, end, sink, end=True))
    middle = end + BOX_HEIGHT / 2
    parts.append(
        f'<path d="M{RAIL} {TOP + BOX_HEIGHT / 2}V{middle}H{LEFT + BOX_WIDTH + 2}" class="fail" marker-end="url(#f)"/>'
    )
    parts.append(text(RAIL + 8, TOP + BOX_HEIGHT / 2 + 4, failing.value, "event"))
    size = f'viewBox="0 0 640 {height}" width="640" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{escape(title)}</title>'
    return "\n".join([head, f"<style>{STYLE}</style>", ARROWS, *parts, "</svg>", ""])


def _phase(table: Table, failing: Enum, order: list[Enum], place: int, phase: Enum, sink: Enum) -> list[str]:
    y, x = TOP + STEP * place, LEFT + BOX_WIDTH / 2
    parts = [box(LEFT, y, phase, end=phase is sink)]
    for (source, event), target in table.items():
        if source is not phase:
            continue
        if event is failing:
            if phase is not sink:
                parts.append(f'<path d="M{LEFT + BOX_WIDTH} {y + 26}H{RAIL}" class="fail"/>')
        elif target is phase:
            edge = LEFT + BOX_WIDTH
            loop = f"M{edge} {y + 6}h22v14h-20"
            parts.append(f'<path d="{loop}" class="line" marker-end="url(#a)"/>')
            parts.append(text(edge + 30, y + 14, event.value, "event"))
        else:
            parts.append(
                f'<path d="M{x} {y + BOX_HEIGHT}V{y + STEP - 2}" class="line" marker-end="url(#a)"/>'
            )
            parts.append(text(x + 10, y + BOX_HEIGHT + 30, event.value, "event"))
    return parts


def drawn() -> dict[Path, str]:
    """File → SVG."""
    return {
        HERE / "phases-wallet.svg": diagram(
            "Phases of a wallet", phases.WALLET, phases.WalletPhase.START, phases.WalletEvent.CLOSE
        ),
        HERE / "phases-bucket.svg": diagram(
            "Phases of a bucket", phases.BUCKET, phases.BucketPhase.SHARE_KEYS, phases.BucketEvent.ABORT
        ),
        HERE / "phases-round.svg": diagram(
            "Phases of a round", phases.ROUND, phases.RoundPhase.ADVERTISE, phases.RoundEvent.ABORT
        ),
    }


def main(arguments: list[str]) -> int:
    made = drawn()
    if arguments == ["--check"]:
        return int(any(not path.exists() or path.read_text("utf-8") != svg for path, svg in made.items()))
    for path, svg in made.items():
        path.write_text(svg, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
