"""The catalogue on the command line.

python -m collectives.training.catalogue                                   what there is
python -m collectives.training.catalogue mlp requirement.json --inputs age,town --target ill   a manifest to submit
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from collectives.terms.canonical import parse_json
from collectives.terms.errors import TermsError
from collectives.terms.requirements import check_profile
from collectives.training.catalogue import build, entries


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="catalogue", description="Ready-made algorithms for a data requirement."
    )
    parser.add_argument("name", nargs="?", help="which one; without it, the list")
    parser.add_argument("requirement", nargs="?", type=Path, help="a JSON file with the data requirement")
    parser.add_argument("--inputs", default="", help="fields it reads, with commas between")
    parser.add_argument("--target", default="", help="fields it predicts")
    parser.add_argument("--purpose", default="", help="one sentence for the people who are asked")
    options = parser.parse_args(arguments)
    if options.name is None:
        for entry in entries():
            sys.stdout.write(f"{entry.name:34} {entry.use}\n")
        return 0
    if options.requirement is None:
        parser.error("name the file with the data requirement")
    try:
        requirement = parse_json(options.requirement.read_bytes())
        check_profile(requirement)
        made = build(
            options.name,
            requirement,
            inputs=_fields(options.inputs),
            target=_fields(options.target),
            purpose=options.purpose,
        )
    except (TermsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    return 0


def _fields(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())
