"""Links for wallets, drawn."""

from __future__ import annotations

import segno


def drawn(link: str) -> str:
    """A QR code as SVG. The drawing is ours from a text of ours; classes instead of colours, so that no style stands in the page."""
    return str(
        segno.make(link, error="m").svg_inline(
            scale=4, border=2, dark="black", light="white", omitsize=True, svgclass=None, lineclass=None
        )
    )
