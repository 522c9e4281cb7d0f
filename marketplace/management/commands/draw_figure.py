"""`manage.py draw_figure`: the figure "who sees what" of the pages as a picture for the documents, so that it is drawn once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.template.loader import render_to_string
from django.utils import translation

TARGET = Path("docs") / "images" / "who_sees_what.svg"
# A picture in a document has no stylesheet of ours; these are the light colours of static/css/tokens.css.
STYLE = """
.box{fill:#fff;stroke:#767f7d;stroke-width:1.5}.own{fill:#e2f0ec;stroke:#0b5f5c;stroke-width:2}
text{font-family:system-ui,sans-serif;font-size:13px}.title{fill:#1d2528;font-weight:650;font-size:15px}.line{fill:#55605f}
.flow{stroke:#0b5f5c;stroke-width:2;fill:none}.tip,.label{fill:#0b5f5c}.label{font-weight:600}
"""


def drawn() -> str:
    """The wide drawing as a file of its own."""
    with translation.override("en"):
        page = render_to_string("components/who_sees_what.svg.html")
    found = re.search(r'<svg class="figure wide-figure" (.*?)>(.*?)</svg>', page, re.S)
    assert found is not None
    attributes, body = found.groups()
    paper = '<rect width="940" height="330" fill="#fbfaf7"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}><style>{STYLE}</style>{paper}{body}</svg>\n'


class Command(BaseCommand):
    help = "Draw docs/images/who_sees_what.svg from the pages' own figure."

    def handle(self, *args: Any, **options: Any) -> None:
        target = Path(settings.BASE_DIR) / TARGET
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(drawn(), encoding="utf-8")
        self.stdout.write(f"{TARGET} is drawn.")
