"""Write the phase tables and diagrams of `secagg.md` from `aggregation.secagg.phases` (`--check` only compares).

Run it from the project's root: `python docs/protocol/phase_tables.py`. The page is never edited between the markers by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "protocol" / "secagg.md"
sys.path.insert(0, str(ROOT))

from aggregation.secagg import errors, phases  # noqa: E402


def table(rows: Mapping[tuple[Enum, Enum], Enum]) -> str:
    lines = ["| phase | event | next phase |", "|---|---|---|"]
    lines += [
        f"| `{source.value}` | {event.value} | `{target.value}` |" for (source, event), target in rows.items()
    ]
    return "\n".join(lines)


def diagram(rows: Mapping[tuple[Enum, Enum], Enum], start: Enum) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start.value}"]
    lines += [
        f"    {source.value} --> {target.value}: {event.value}"
        for (source, event), target in rows.items()
        if source is not target
    ]
    return "\n".join([*lines, "```"])


def reasons(group: type[errors.Reason]) -> str:
    lines = ["| code | meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{reason.value}` | {reason.sentence} |" for reason in group)])


BLOCKS = {
    "wallet": lambda: f"{diagram(phases.WALLET, phases.WalletPhase.START)}\n\n{table(phases.WALLET)}",
    "bucket": lambda: f"{diagram(phases.BUCKET, phases.BucketPhase.SHARE_KEYS)}\n\n{table(phases.BUCKET)}",
    "round": lambda: f"{diagram(phases.ROUND, phases.RoundPhase.ADVERTISE)}\n\n{table(phases.ROUND)}",
    "faults": lambda: reasons(errors.Fault),
    "aborts": lambda: reasons(errors.AbortReason),
}


def rendered(page: str) -> str:
    for name, block in BLOCKS.items():
        opening, closing = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(re.escape(opening) + ".*?" + re.escape(closing), re.DOTALL)
        text = f"{opening}\n{block()}\n{closing}"
        page, count = pattern.subn(lambda _, text=text: text, page)
        if count != 1:
            raise SystemExit(f"secagg.md needs the markers of {name} exactly once")
    return page


def main(arguments: list[str]) -> int:
    page = PAGE.read_text("utf-8")
    made = rendered(page)
    if arguments == ["--check"]:
        return int(page != made)
    PAGE.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
