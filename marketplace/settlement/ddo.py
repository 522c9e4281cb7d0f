"""The documents that describe assets: Ocean's DDO, version 4.1.0, as plain values.

They say what a thing is, by hashes where it has documents of its own (terms, manifest, checkpoint), and nothing about people. The bytes on
chain are the RFC 8785 form, so that anybody computes the same SHA-256.
Source: Ocean Protocol documentation, "DDO specification" and "Identifiers".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import rfc8785

VERSION = "4.1.0"
CONTEXT = "https://w3id.org/did/v1"
LICENSE = "The signed terms of the collective; their hash stands in additionalInformation."


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an asset is. `created` and `updated` in unix seconds; `facts` are hashes, numbers as text, and ids."""

    kind: str
    name: str
    text: str
    author: str
    created: int
    updated: int
    facts: dict[str, Any]
    tags: tuple[str, ...] = ()
    trusted: tuple[dict[str, str], ...] = ()
    """For a collective: the algorithms that may run, as `did` and `filesChecksum`."""
    service: str = field(default="compute")
    timeout: int = 0


def did(nft: str, chain_id: int) -> str:
    """`did:op:` and the SHA-256 over the NFT's address (EIP-55) and the chain's number, as Ocean derives it."""
    return "did:op:" + hashlib.sha256(f"{nft}{chain_id}".encode()).hexdigest()


def build(about: Description, *, nft: str, datatoken: str, chain_id: int, endpoint: str) -> dict[str, Any]:
    """The document of an asset that is on chain.

    Args:
        nft: address of the data NFT, EIP-55.
        datatoken: address of its datatoken, EIP-55.
        endpoint: where the service answers.
    """
    service: dict[str, Any] = {
        "id": about.service,
        "type": about.service,
        "name": about.name,
        "files": "",
        "datatokenAddress": datatoken,
        "serviceEndpoint": endpoint,
        "timeout": about.timeout,
    }
    if about.service == "compute":
        service["compute"] = {
            "allowRawAlgorithm": False,
            "allowNetworkAccess": False,
            "publisherTrustedAlgorithmPublishers": [],
            "publisherTrustedAlgorithms": list(about.trusted),
        }
    metadata = {
        "type": "algorithm" if about.kind == "algorithm" else "dataset",
        "name": about.name,
        "description": about.text,
        "author": about.author,
        "license": LICENSE,
        "created": _moment(about.created),
        "updated": _moment(about.updated),
        "tags": ["compute-to-ssi", about.kind, *about.tags],
        "additionalInformation": {"kind": about.kind} | about.facts,
    }
    return {
        "@context": [CONTEXT],
        "id": did(nft, chain_id),
        "version": VERSION,
        "chainId": chain_id,
        "nftAddress": nft,
        "metadata": metadata,
        "services": [service],
    }


def encoded(document: dict[str, Any]) -> tuple[bytes, str]:
    """(the bytes that go on chain, their SHA-256 as hex)."""
    body = bytes(rfc8785.dumps(document))
    return body, hashlib.sha256(body).hexdigest()


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
