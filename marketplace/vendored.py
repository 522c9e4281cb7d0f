"""Scripts and styles of others that we serve or test with: which versions, from where, with which hashes.

Nothing is fetched at run time. `manage.py vendor` fetches them again with npm and with django-htmx's own copy, and writes the
lists; `manage.py vendor --check` compares the files with the lists and needs no network.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import django_htmx
from django.conf import settings

LIST = "VENDORED.md"


@dataclass(frozen=True, kw_only=True)
class Vendored:
    """One file: `source` names its path inside the npm package `package`, or inside django-htmx where that is empty."""

    folder: str
    name: str
    package: str
    version: str
    licence: str
    source: str

    @property
    def path(self) -> Path:
        return Path(settings.BASE_DIR) / self.folder / self.name


FILES = (
    Vendored(
        folder="static/vendor",
        name="htmx.min.js",
        package="",
        version="2 (as in django-htmx 1.29.0)",
        licence="0BSD",
        source="static/django_htmx/htmx-2.min.js",
    ),
    Vendored(
        folder="static/vendor",
        name="uPlot.iife.min.js",
        package="uplot",
        version="1.6.32",
        licence="MIT",
        source="package/dist/uPlot.iife.min.js",
    ),
    Vendored(
        folder="static/vendor",
        name="uPlot.min.css",
        package="uplot",
        version="1.6.32",
        licence="MIT",
        source="package/dist/uPlot.min.css",
    ),
    Vendored(
        folder="tests/e2e/vendor",
        name="axe.min.js",
        package="axe-core",
        version="4.14.1",
        licence="MPL-2.0 (a test tool, never served)",
        source="package/axe.min.js",
    ),
)


def fetch() -> None:
    """Fetch every file and write the list beside it.

    Raises:
        RuntimeError: npm is missing or refuses.
    """
    for file in FILES:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.write_bytes(_from_npm(file) if file.package else _from_django_htmx(file))
    for folder in sorted({file.folder for file in FILES}):
        (Path(settings.BASE_DIR) / folder / LIST).write_text(_list(folder), encoding="utf-8")


def problems() -> list[str]:
    """What differs between the files and the lists, in sentences."""
    found = []
    for file in FILES:
        listed = Path(settings.BASE_DIR) / file.folder / LIST
        if not file.path.exists():
            found.append(f"{file.folder}/{file.name} is missing; run `manage.py vendor`.")
        elif not listed.exists() or digest(file.path) not in listed.read_text(encoding="utf-8"):
            found.append(
                f"{file.folder}/{file.name} is not the listed file; run `manage.py vendor` and look at the change."
            )
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _from_django_htmx(file: Vendored) -> bytes:
    return (Path(django_htmx.__file__).parent / file.source).read_bytes()


def _from_npm(file: Vendored) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is needed to fetch vendored files.")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - a fixed command with our own constants
            [npm, "pack", "--silent", f"{file.package}@{file.version}"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"npm could not fetch {file.package}@{file.version}: {done.stderr.strip()[:300]}"
            )
        archive = next(Path(folder).glob("*.tgz")).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile(file.source)
        if member is None:
            raise RuntimeError(f"{file.package} has no {file.source}.")
        return member.read()


def _list(folder: str) -> str:
    lines = [
        "# Files of others kept here",
        "",
        "Fetched by `manage.py vendor`, compared by `manage.py vendor --check`. Not edited by hand.",
        "",
        "| file | from | version | licence | SHA-256 |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {f.name} | {f.package or 'django-htmx'} | {f.version} | {f.licence} | `{digest(f.path)}` |"
        for f in FILES
        if f.folder == folder
    ]
    return "\n".join(lines) + "\n"
