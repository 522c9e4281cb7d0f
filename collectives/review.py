"""What a reviewer of an algorithm should look at: questions that no automatic check answers, and what differs from the last one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

LARGE = 100_000
"""Scalars from which on a model can keep single people's values, unless very many wallets take part."""
WIDE_CLIP = 10_000_000


def questions(manifest: Mapping[str, Any], parameters: int) -> list[str]:
    """In the order in which they are answered most easily; those that this very manifest raises name it."""
    inputs, target = manifest.get("inputs", []), manifest.get("target", [])
    output = manifest.get("output", {})
    found = [
        "Do the name and the purpose say what it does? They are all a holder reads before agreeing.",
        f"Does the purpose need every field it reads ({_listed(inputs)})? Return it where one is not needed.",
    ]
    if target:
        found.append(
            f"Could what it predicts ({_listed(target)}) be used to decide about single persons? "
            "The purpose must then rule that out."
        )
    else:
        found.append(
            "It predicts nothing and asks for sums only: could a sum of a small group tell about one person?"
        )
    if parameters >= LARGE:
        found.append(
            f"It has {parameters:,} parameters. Is that much for so few fields? A large model can keep single values."
        )
    if output.get("clip_micro", 0) > WIDE_CLIP:
        found.append(
            f"One wallet may change the sum by up to {output['clip_micro'] / 1e6:g}. A wide clip needs more noise."
        )
    return found


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Each place where two manifests differ: `layers 2, out: 16 → 32`."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return [
        f"{place}: {old.get(place, 'not there')} → {new.get(place, 'not there')}"
        for place in dict.fromkeys([*old, *new])
        if old.get(place) != new.get(place)
    ]


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{place}, {name}" if place else str(name))
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        for number, part in enumerate(value, start=1):
            yield from _leaves(part, f"{place} {number}")
    else:
        yield place, json.dumps(value, ensure_ascii=False)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
