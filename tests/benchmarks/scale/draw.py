"""What the distributor's own rule of drawing costs per candidate: `python -m tests.benchmarks.scale.draw [--out FILE]`.

The rule is `wallets.distributor.services.draw.ranking` over job keys, and the sort by (times drawn, rank). Rows from a database are not
on the clock: a shard keeps its share of a job's list in memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

DEFAULT = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "benchmarks" / "draw.json"


def measure(candidates: int) -> dict[str, Any]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings.test")
    import django

    django.setup()
    from wallets.distributor.services.draw import ranking

    job: Any = SimpleNamespace(log_root="11" * 32, cohort_key=b"\x22" * 32)
    keys = [hashlib.sha256(n.to_bytes(8, "big")).hexdigest() for n in range(candidates)]
    began = time.process_time()
    rank = ranking(job, 1)
    sorted((0, rank(key)) for key in keys)
    spent = time.process_time() - began
    return {"candidates": candidates, "cpu_us_per_candidate": round(1e6 * spent / candidates, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=DEFAULT)
    options = parser.parse_args()
    found = measure(options.candidates)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
