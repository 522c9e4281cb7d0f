"""The pages' own reader of QR codes, against codes that another program (segno) drew: every size and level, damaged, turned, tilted, in bad light."""

from __future__ import annotations

import base64
import json
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import segno

from tests.unit.tab.node import node

SCRIPT = Path(__file__).parent / "js" / "qr.mjs"
PIN = "9f" * 32
LINK = f"cssi://subscribe?url=https%3A%2F%2Fmarket.example&collective=1b4e28ba-2fa1-11d2-883f-0016d3cca427&pin={PIN}"
QUIET = 4
Picture = npt.NDArray[np.uint8]


def read(
    *, matrices: Sequence[Sequence[str]] = (), pictures: Sequence[Picture] = ()
) -> dict[str, list[str | None]]:
    shown = [
        {"width": one.shape[1], "height": one.shape[0], "grey": base64.b64encode(one.tobytes()).decode()}
        for one in pictures
    ]
    asked = json.dumps({"matrices": matrices, "pictures": shown})
    done = subprocess.run(
        [node(), str(SCRIPT)], input=asked, capture_output=True, text=True, timeout=120, check=True
    )
    found: dict[str, list[str | None]] = json.loads(done.stdout)
    return found


def modules(code: segno.QRCode) -> list[str]:
    return ["".join(str(int(bool(one))) for one in row) for row in code.matrix]


def photograph(
    code: segno.QRCode,
    corners: Sequence[tuple[float, float]],
    *,
    size: tuple[int, int] = (360, 360),
    dark: float = 20,
    light: float = 235,
    shade: float = 0,
    noise: float = 0,
) -> Picture:
    """The code with its quiet zone, its four corners (from the top left, clockwise) at these pixels of a grey picture; half a pixel of blur."""
    width, height = size
    matrix = np.pad(np.array([[bool(one) for one in row] for row in code.matrix]), QUIET)
    across = float(len(matrix))
    to = projection(corners, [(0, 0), (across, 0), (across, across), (0, across)])
    y, x = np.mgrid[0 : height * 2, 0 : width * 2]
    where = to @ np.stack([x.ravel() / 2 + 0.25, y.ravel() / 2 + 0.25, np.ones(x.size)])
    u, v = where[0] / where[2], where[1] / where[2]
    inside = (u >= 0) & (v >= 0) & (u < across) & (v < across)
    on = np.zeros(x.size, dtype=bool)
    on[inside] = matrix[v[inside].astype(int), u[inside].astype(int)]
    sharp = np.where(on, dark, light).reshape(height, 2, width, 2).mean(axis=(1, 3))
    falloff = 1 - shade * np.linspace(0, 1, width)[None, :]
    rng = random.Random(7)
    grain = np.array([rng.gauss(0, noise) for _ in range(sharp.size)]).reshape(sharp.shape) if noise else 0
    return np.clip(sharp * falloff + grain, 0, 255).astype(np.uint8)


def projection(from_: Sequence[tuple[float, float]], to: Sequence[tuple[float, float]]) -> npt.NDArray[Any]:
    """The 3×3 matrix that takes four points to four points."""
    rows, right = [], []
    for (x, y), (u, v) in zip(from_, to, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows, float), np.array(right, float)), 1).reshape(3, 3)


def turned(degrees: float, size: float = 260, middle: float = 180) -> list[tuple[float, float]]:
    angle, half = np.radians(degrees), size / 2
    return [
        (
            middle + half * (a * np.cos(angle) - b * np.sin(angle)),
            middle + half * (a * np.sin(angle) + b * np.cos(angle)),
        )
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]


@pytest.mark.parametrize(
    "versions",
    [
        [(version, "LMQH"[version % 4]) for version in range(1, 15)],
        pytest.param(
            [(version, level) for version in range(1, 41) for level in "LMQH"], marks=pytest.mark.long
        ),
    ],
    ids=["those of our links", "all"],
)
def test_every_version_and_level_is_read(versions: list[tuple[int, str]]) -> None:
    codes = [
        segno.make(f"v{version}", version=version, error=level, micro=False, boost_error=False, mask=3)
        for version, level in versions
    ]
    assert read(matrices=[modules(code) for code in codes])["matrices"] == [
        f"v{version}" for version, _ in versions
    ]


def test_every_mask_and_mode_is_read() -> None:
    texts = ["0123456789012", "HTTPS://A.EXAMPLE/$%*+-", LINK, "Grüße, 漢字 und ✓", "7"]
    made = [(text, i % 8) for i, text in enumerate(texts * 2)] + [(LINK, mask) for mask in range(8)]
    codes = [segno.make(text, micro=False, mask=mask, error="m") for text, mask in made]
    assert read(matrices=[modules(code) for code in codes])["matrices"] == [text for text, _ in made]


def test_damage_is_repaired_up_to_what_the_level_allows_and_never_misread() -> None:
    """Level M repairs 15 %: modules are turned over at random, few and then many."""
    rng = random.Random(3)
    rows = modules(segno.make(LINK, error="m", boost_error=False))
    damaged = []
    for share in [0.01] * 10 + [0.25] * 20:
        free = [[one == "1" for one in row] for row in rows]
        for row in range(9, len(rows) - 9):
            for column in range(9, len(rows) - 9):
                free[row][column] ^= rng.random() < share
        damaged.append(["".join(str(int(one)) for one in row) for row in free])
    found = read(matrices=damaged)["matrices"]
    assert found == [LINK] * 10 + [None] * 20


def test_a_code_is_found_upright_turned_tilted_and_in_bad_light() -> None:
    code = segno.make(LINK, error="m")
    tilted = [(70.0, 60.0), (300.0, 85.0), (320.0, 320.0), (40.0, 290.0)]
    pictures = {
        "upright": photograph(code, turned(0)),
        **{f"turned by {angle}": photograph(code, turned(angle)) for angle in (7, 45, 90, 133, 180, 250)},
        "tilted": photograph(code, tilted),
        "tilted and upside down": photograph(code, [tilted[2], tilted[3], tilted[0], tilted[1]]),
        "small, as on a whole screen": photograph(code, turned(0, 130), size=(600, 360)),
        "in a shadow": photograph(code, turned(12), shade=0.75),
        "grey on grey, with grain": photograph(code, turned(5), dark=90, light=150, noise=12),
        "in a mirror": np.ascontiguousarray(photograph(code, turned(3))[:, ::-1]),
    }
    found = read(pictures=list(pictures.values()))["pictures"]
    assert dict(zip(pictures, found, strict=True)) == dict.fromkeys(pictures, LINK)


def test_a_long_code_fills_a_picture() -> None:
    """As a credential's link may be: 700 bytes in 101 modules."""
    text = f"cssi://credential?{'x' * 680}"
    code = segno.make(text, error="m", boost_error=False)
    assert code.version > 20
    assert read(pictures=[photograph(code, turned(4, 460, 260), size=(520, 520))])["pictures"] == [text]


def test_where_there_is_no_code_none_is_found() -> None:
    code = photograph(segno.make(LINK), turned(0))
    code[180:, :180] = 235
    pictures = {
        "noise": np.frombuffer(random.Random(5).randbytes(240 * 320), np.uint8).reshape(240, 320),
        "stripes": np.tile(np.repeat(np.array([0, 255], np.uint8), 8), (200, 20)),
        "nothing": np.full((200, 200), 200, np.uint8),
        "two finders": code,
        "tiny": np.zeros((1, 1), np.uint8),
    }
    found = read(pictures=list(pictures.values()))["pictures"]
    assert dict(zip(pictures, found, strict=True)) == dict.fromkeys(pictures)
