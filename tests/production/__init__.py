"""What only the real servers can show; run with `-p tests.production.plugin` (see `plugin`)."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
