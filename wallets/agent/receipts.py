"""Consent receipts: machine-readable, signed by the holder's pseudonym, kept by the holder, exported at will.

The field names are those of ISO/IEC TS 27560:2023 (consent record information structure): a head, what is processed and why, the
parties, and the events of this consent. Times are RFC 3339 in UTC. What the standard has no field for stands in `extension`.
A withdrawal is a further event, signed with the subscription key in the moment before that key is erased.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aggregation.wire.secret import Secret
from collectives.terms.description import Terms, duration, words_for_agreement
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import Permit
from wallets.agent.vault import Records, WalletStore

CATEGORY = "consent"
KIND = "consent"
SCHEMA = "ISO/IEC TS 27560:2023; profile cssi/1"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A receipt as it lies in the wallet. `genuine`: its signature holds and it is by the pseudonym it names."""

    envelope: Mapping[str, Any]
    genuine: bool

    @property
    def document(self) -> Mapping[str, Any]:
        """The receipt itself."""
        found: Mapping[str, Any] = self.envelope["document"]
        return found


def given(*, terms: Terms, permit: Permit, fields: list[str], how: str, now: int) -> dict[str, Any]:
    """The receipt of a consent that has just been given."""
    return {
        "schema_version": SCHEMA,
        "record_id": f"urn:cssi:consent:{permit.agreement_hash}",
        "receipt_id": f"urn:cssi:receipt:{permit.agreement_hash}:1",
        "pii_principal_id": permit.subscription_key,
        "language": "en",
        "privacy_notice": f"urn:cssi:terms:{permit.terms_hash}",
        "purposes": [_purpose(terms, fields)],
        "party_identification": [
            {
                "party_id": terms.collective_id,
                "party_name": terms.name,
                "party_role": "pii_controller",
                "party_type": "collective",
                "party_key": terms.collective_key,
            }
        ],
        "events": [
            {
                "event_time": rfc3339(now),
                "event_type": "explicit",
                "event_state": "consent_given",
                "entity_id": permit.subscription_key,
                "validity_duration": rfc3339(permit.expires),
                "method": how,
            }
        ],
        "extension": {
            "terms_hash": permit.terms_hash,
            "requirement_hash": permit.requirement_hash,
            "agreement_hash": permit.agreement_hash,
            "rate_base_units_per_visit": str(permit.rate),
            "token": terms.token,
            "bucket_min": permit.bucket_min,
            "release_min": permit.release_min,
            "privacy_level": terms.privacy_level,
            "sandbox": terms.sandbox,
            "notice_period": duration(permit.notice_seconds),
            "silence_means": permit.silence,
            "sentences_shown": list(words_for_agreement(terms)),
        },
    }


def _purpose(terms: Terms, fields: list[str]) -> dict[str, Any]:
    return {
        "purpose": terms.purpose,
        "purpose_excluded": terms.not_for,
        "purpose_type": "training of a shared model",
        "lawful_basis": "consent",
        "pii_information": [{"pii_type": name, "pii_optional": False} for name in sorted(fields)],
        "pii_controllers": [terms.collective_id],
        "collection_method": "none: the data stays in the holder's wallet",
        "processing_method": "computed in the wallet; one clipped, noised and masked list of numbers leaves per visit, readable only in sums",
        "processing_locations": ["the holder's own device"],
        "storage_locations": ["the holder's own device"],
        "retention_period": "until the holder revokes; results already added to a model cannot be taken out",
        "withdrawal_method": "revoke in the wallet; effective at once, with or without any server",
        "recipient_third_parties": [
            "buyers of the collective's models, which are made of released sums only"
        ],
    }


async def withdraw(records: Records, subscription_key: str, private: Secret, *, now: int, by: str) -> None:
    """Add the withdrawal to a receipt and sign it again; without a receipt there is nothing to do."""
    stored = await records.get(CATEGORY, subscription_key)
    if stored is None:
        return
    document = dict(stored["document"])
    event = {
        "event_time": rfc3339(now),
        "event_type": "explicit",
        "event_state": "consent_withdrawn",
        "entity_id": subscription_key,
        "method": by,
    }
    document["events"] = [*document["events"], event]
    base = str(document.get("receipt_id", document.get("record_id", ""))).rsplit(":", 1)[0]
    document["receipt_id"] = f"{base}:{len(document['events'])}"
    await records.put(CATEGORY, subscription_key, SignedDocument.sign(KIND, document, private).to_json())


async def kept(store: WalletStore) -> list[Kept]:
    """Every receipt in the wallet, also of subscriptions that have ended, in order of their first event."""
    found = [Kept(envelope=value, genuine=genuine(value)) for value in (await store.list(CATEGORY)).values()]
    return sorted(found, key=lambda one: str(one.document["events"][0].get("event_time", "")))


def genuine(envelope: Mapping[str, Any]) -> bool:
    """Whether a receipt's signature holds and is by the pseudonym the receipt names."""
    try:
        signed = SignedDocument.from_json(envelope)
        document = signed.open(KIND)
        return bool(document["pii_principal_id"] == signed.key)
    except (TermsError, KeyError, TypeError):
        return False


def export(receipts: list[Kept]) -> str:
    """All receipts as one JSON array of signed envelopes: anyone can check them without this wallet."""
    return json.dumps([dict(receipt.envelope) for receipt in receipts], indent=1, ensure_ascii=False)


def rfc3339(moment: int) -> str:
    """Unix seconds as UTC text; a year no calendar has becomes the last one that has."""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "9999-12-31T23:59:59Z"
