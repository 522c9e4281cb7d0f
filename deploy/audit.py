"""`make audit`: are any of the pinned packages known to be weak? Asks an advisory service by pip-audit.

Fails where one is. Where no service could be asked it says so and does not fail: a build without a network is not a weak one, but it must not
look like an audited one either.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = ("constraints.txt", "requirements.txt")


def verdict(report: Mapping[str, Any] | None) -> tuple[list[str], int]:
    """What to say, and the exit code.

    Args:
        report: pip-audit's JSON; None when it gave none.
    """
    packages: Sequence[Mapping[str, Any]] = (report or {}).get("dependencies", [])
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return ["NOT AUDITED: no advisory service could be asked about any package."], 0
    weak = [package for package in asked if package.get("vulns")]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, "
        f"mended in {', '.join(found.get('fix_versions') or ['no version yet'])}"
        for package in weak
        for found in package["vulns"]
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped:
        lines.append(f"Not asked about: {', '.join(skipped)}")
    lines.append(f"{len(asked)} packages asked about, {len(weak)} with known weaknesses.")
    return lines, 1 if weak else 0


def _report() -> dict[str, Any] | None:
    program = Path(sys.executable).with_name("pip-audit")
    command = [str(program), "--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off"]
    for name in FILES:
        command += ["--requirement", str(ROOT / name)]
    try:
        done = subprocess.run(  # noqa: S603 - pip-audit on our own files
            command, capture_output=True, text=True, timeout=300, check=False
        )
        return dict(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, ValueError):
        return None


def main() -> int:
    lines, code = verdict(_report())
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
