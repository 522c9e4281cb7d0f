"""Which versions are at work, for the health page and for whoever is asked for help. Nothing is imported to find out."""

from __future__ import annotations

import platform
from importlib import metadata

from collectives.terms.algorithm import VERSION as MANIFESTS
from collectives.terms.description import VERSION as TERMS
from wallets.agent.session import HELLO_VERSION

PACKAGES = ("aries-askar", "torch", "cryptography")


def known() -> dict[str, str]:
    """What to what version, in the order to be shown."""
    own = {"wallet protocol": HELLO_VERSION, "terms": TERMS, "algorithms": MANIFESTS}
    found = {name: str(version) for name, version in own.items()}
    found |= {name: _installed(name) for name in PACKAGES}
    return found | {"Python": platform.python_version(), "kernel": platform.release()}


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
