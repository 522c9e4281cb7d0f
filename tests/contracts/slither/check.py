"""Slither over our contracts, with the compiler and the settings that made the artifacts: clean, or each finding explained.

Runs in `.venv-slither` (`make slither`), never in the platform's environment. A finding is known by its check and by where it is;
`explained.json` says why it may stay. A finding without an explanation fails, and so does an explanation without its finding.
Findings in OpenZeppelin's own files are counted, not judged: they are a pinned release that others audit.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crytic_compile import CryticCompile
from crytic_compile.platform.solc_standard_json import SolcStandardJson
from slither import Slither
from slither.detectors import all_detectors
from slither.detectors.abstract_detector import AbstractDetector

HERE = Path(__file__).parent
CONTRACTS = HERE.parents[2] / "marketplace" / "settlement" / "contracts"
SETTINGS = {
    "optimizer": {"enabled": True, "runs": 1000},
    "evmVersion": "cancun",
    "metadata": {"bytecodeHash": "none"},
}
"""Those of `compile.mjs`."""


def findings() -> Iterator[dict[str, Any]]:
    """What every detector has to say, as slither's own records."""
    sources = {
        f"src/{path.name}": {"content": path.read_text(encoding="utf-8")}
        for path in sorted((CONTRACTS / "src").glob("*.sol"))
    }
    asked = {"language": "Solidity", "sources": sources, "settings": SETTINGS}
    compiled = CryticCompile(
        SolcStandardJson(asked), solc=str(CONTRACTS / "solc.mjs"), solc_working_dir=str(CONTRACTS)
    )
    tool = Slither(compiled)
    for found in vars(all_detectors).values():
        if inspect.isclass(found) and issubclass(found, AbstractDetector) and found is not AbstractDetector:
            tool.register_detector(found)
    for results in tool.run_detectors():
        yield from results


def ours(finding: dict[str, Any]) -> bool:
    """Whether the first thing it names stands in a file of ours."""
    where = [element["source_mapping"]["filename_relative"] for element in finding["elements"]]
    return bool(where) and "node_modules" not in where[0]


def place(finding: dict[str, Any]) -> str:
    """`check: Contract.function.variable`, which stays the same when lines move."""
    element = finding["elements"][0]
    names = [element["name"]]
    parent = element.get("type_specific_fields", {}).get("parent")
    while parent and parent["type"] in ("function", "contract"):
        names.insert(0, parent["name"])
        parent = parent.get("type_specific_fields", {}).get("parent")
    return f"{finding['check']}: {'.'.join(names)}"


def main() -> int:
    every = list(findings())
    mine = {place(found): found for found in every if ours(found)}
    explained: dict[str, str] = json.loads((HERE / "explained.json").read_text(encoding="utf-8"))
    for name in sorted(set(mine) - set(explained)):
        print(f"not explained: {name} ({mine[name]['impact']})\n  {mine[name]['description'].strip()}")
    for name in sorted(set(explained) - set(mine)):
        print(f"explained but not found any more: {name}")
    print(
        f"{len(mine)} findings in our contracts, {len(set(mine) & set(explained))} of them explained; "
        f"{len(every) - sum(ours(found) for found in every)} in OpenZeppelin's files"
    )
    return int(set(mine) != set(explained))


if __name__ == "__main__":
    sys.exit(main())
