"""`/wallet-app/`: the wallet in a browser tab, as files under a policy of its own, and the published fingerprints of those files.

No template, no session, no cookie, no account: what is sent is the file in the repository, byte for byte, and the same for everybody.
The pages are the agent's own (`wallets/agent/web`) and the data tool's form, with the tab's in place of some of them (`static/wallet/page`); the wallet itself is
`static/wallet`. `static/wallet/files.json` lists the SHA-256 of each; `manage.py wallet_files` writes it, a test keeps it current.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

ROOT = Path(settings.BASE_DIR)
INDEX, LIST = "index.html", "files.json"
START_PAGE, LISTED = ROOT / "templates" / "browser_wallet.html", ROOT / "static" / "wallet" / LIST
# Later folders take the place of files of earlier ones.
FOLDERS = (
    ("page", ROOT / "wallets" / "agent" / "web"),
    ("page", ROOT / "static" / "wallet" / "page"),
    ("tab", ROOT / "static" / "wallet" / "tab"),
    ("", ROOT / "static" / "wallet"),
)
# The form for what a requirement asks for is that of the data creation tool.
SHARED = {
    f"page/{name}": ROOT / "collectives" / "datatool" / name
    for name in ("form.js", "german_form.js", "phrases.js", "rules.js")
}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
}
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-cache",
}


def policy() -> str:
    """The content security policy of every file, also of the workers: this site's own files, and the sockets of rounds."""
    sockets = []
    for url in (settings.DISTRIBUTOR_URL, settings.AGGREGATOR_URL):
        parts = urlsplit(url)
        sockets += [
            f"{parts.scheme}://{parts.netloc}",
            f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}",
        ]
    directives = (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        f"connect-src 'self' {' '.join(sorted(set(sockets)))}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types wallet",
    )
    return "; ".join(directives)


def files() -> dict[str, Path]:
    """Every file of the wallet by its address below `/wallet-app/`, sorted. The list of their hashes is not one of them."""
    found = {INDEX: START_PAGE, **SHARED}
    for prefix, folder in FOLDERS:
        for file in _scripts(folder):
            found[f"{prefix}/{file.name}" if prefix else file.name] = file
    return dict(sorted(found.items()))


def _scripts(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix in {".js", ".css"})


def fingerprints() -> dict[str, Any]:
    """`{"release", "files"}`: SHA-256 of each file, and of the list of them, which stands for the whole."""
    hashes = {name: sha256(file.read_bytes()).hexdigest() for name, file in files().items()}
    release = sha256(json.dumps(hashes, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return {"release": release, "files": hashes}


@require_safe
def serve(request: HttpRequest, name: str = INDEX) -> HttpResponseBase:
    """One file. A name that is not a file of the wallet is 404."""
    file = LISTED if name == LIST else files().get(name)
    if file is None:
        raise Http404
    body = file.read_bytes()
    etag = f'"{sha256(body).hexdigest()}"'
    whole = HttpResponse(body, content_type=TYPES[file.suffix], headers={"ETag": etag})
    answer = get_conditional_response(request, etag=etag, response=whole) or whole
    # Also of "not modified": a browser takes the headers of that answer over into what it kept.
    for header, value in {**HEADERS, "Content-Security-Policy": policy()}.items():
        answer[header] = value
    return answer
