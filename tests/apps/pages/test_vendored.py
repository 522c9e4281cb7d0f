"""What others wrote and we serve is exactly what the lists say; the styles stay small."""

from __future__ import annotations

import gzip
from pathlib import Path

from django.conf import settings

from marketplace import vendored


def test_vendored_files_are_the_listed_ones() -> None:
    assert vendored.problems() == []


def test_the_styles_stay_under_twelve_kilobytes() -> None:
    css = Path(settings.BASE_DIR) / "static" / "css"
    together = b"".join((css / name).read_bytes() for name in ("tokens.css", "app.css"))
    assert len(gzip.compress(together)) < 12 * 1024


def test_own_scripts_stay_small() -> None:
    for script in (Path(settings.BASE_DIR) / "static" / "js").glob("*.js"):
        assert len(script.read_text().splitlines()) < 100, script.name


def test_the_documents_show_the_figure_of_the_pages() -> None:
    from marketplace.management.commands.draw_figure import TARGET, drawn

    assert (Path(settings.BASE_DIR) / TARGET).read_text(encoding="utf-8") == drawn(), (
        "run `manage.py draw_figure`"
    )
