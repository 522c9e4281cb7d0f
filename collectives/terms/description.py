"""Terms: the four elements of a collective as one signed, versioned document, and the words people read.

1 identifying key, 2 task description (purpose, algorithms, data requirement), 3 revenue model (rate), 4 the sample contract
induced from 2 and 3 (see `agreement`). A subscription pins the hash of exactly this document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from collectives.terms import classes
from collectives.terms import fields as f
from collectives.terms.canonical import digest
from collectives.terms.errors import TermsError
from collectives.terms.requirements import check_profile, requirement_hash

VERSION = 1
TOKEN_DECIMALS = 18
RATE_TIERS = tuple(n * 10**15 for n in (1, 2, 5, 10, 20, 50, 100))
"""The rates a collective may choose, base units per visit: 0.001 to 0.1 tokens. Shared rates hide who was visited."""
BUCKET_MIN_FLOOR, RELEASE_MIN_FLOOR = 20, 100
SILENCE = ("without", "with")
ASSURANCE = ("declared", "attested")
PRIVACY_LEVELS = ("aggregate", "formal")
ORDER_POLICIES = ("owner", "approval", "open")
SANDBOX_LEVELS = ("any", "full")
"""`full`: only wallets whose sandbox has every layer may take part. Absent in a document means `any`."""
_LATER = ("sandbox", "algorithms")
"""Fields that came later: older documents are without them."""
_NAMES = [
    "version",
    "collective_id",
    "name",
    "collective_key",
    "terms_version",
    "purpose",
    "not_for",
    "task_description",
    "requirement",
    "requirement_hash",
    "assurance",
    "permitted_manifests",
    "algorithm_class",
    "rate",
    "token",
    "notice_seconds",
    "silence",
    "bucket_min",
    "release_min",
    "privacy_level",
    "order_policy",
    "agreement",
    "valid_seconds",
    "development",
    "created",
]


@dataclass(frozen=True, kw_only=True)
class Terms:
    collective_id: str
    name: str
    collective_key: str
    terms_version: int
    purpose: str
    not_for: str
    task_description: str
    requirement: Mapping[str, Any]
    requirement_hash: str
    assurance: str
    permitted_manifests: tuple[str, ...]
    algorithm_class: Mapping[str, Any] | None
    rate: int
    token: str
    notice_seconds: int
    silence: str
    bucket_min: int
    release_min: int
    privacy_level: str
    order_policy: str
    chain_id: int
    registry: str
    valid_seconds: int
    development: bool
    created: int
    sandbox: str = "any"
    algorithms: tuple[Mapping[str, Any], ...] = ()
    document: Mapping[str, Any] = field(repr=False, compare=False)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the document's RFC 8785 form, hex: what a subscription pins."""
        return digest(self.document).hex()

    @classmethod
    def parse(cls, document: Any) -> Terms:
        """Raises:
        TermsError: names the field and what is allowed; `rate_not_in_tier`, `minima_too_low` for those two.
        """
        later = [name for name in _LATER if isinstance(document, Mapping) and name in document]
        m = f.exactly(document, [*_NAMES, *later], "Terms")
        if m["version"] != VERSION:
            raise TermsError(
                "malformed", "This program knows version %(version)s of the terms.", version=VERSION
            )
        check_profile(m["requirement"])
        if m["requirement_hash"] != requirement_hash(m["requirement"]):
            raise TermsError("malformed", "requirement_hash is not the hash of the requirement.")
        agreement = f.exactly(m["agreement"], ("chain_id", "registry"), "The agreement's place")
        terms = cls(
            collective_id=f.uuid(m, "collective_id"),
            name=f.shown(m, "name", least=1, most=120),
            collective_key=f.hex_bytes(m, "collective_key", 32),
            terms_version=f.integer(m, "terms_version", 1),
            purpose=f.shown(m, "purpose", least=1, most=500, lines=True),
            not_for=f.shown(m, "not_for", most=500, lines=True),
            task_description=f.shown(m, "task_description", least=1, most=10_000, lines=True),
            requirement=m["requirement"],
            requirement_hash=m["requirement_hash"],
            assurance=f.one_of(m, "assurance", ASSURANCE),
            permitted_manifests=f.hashes(m, "permitted_manifests"),
            algorithm_class=classes.parse(m["algorithm_class"]),
            rate=f.money(m, "rate"),
            token=f.text(m, "token", least=1, most=20),
            notice_seconds=f.integer(m, "notice_seconds", 0, 365 * 24 * 3600),
            silence=f.one_of(m, "silence", SILENCE),
            bucket_min=f.integer(m, "bucket_min", 2, 255),
            release_min=f.integer(m, "release_min", 2, 10**9),
            privacy_level=f.one_of(m, "privacy_level", PRIVACY_LEVELS),
            order_policy=f.one_of(m, "order_policy", ORDER_POLICIES),
            chain_id=f.integer(agreement, "chain_id", 1),
            registry=_address(agreement["registry"]),
            valid_seconds=f.integer(m, "valid_seconds", 3600, 10 * 365 * 24 * 3600),
            development=f.flag(m, "development"),
            created=f.integer(m, "created"),
            sandbox=f.one_of(m, "sandbox", SANDBOX_LEVELS) if "sandbox" in m else "any",
            algorithms=_algorithms(m["algorithms"]) if "algorithms" in m else (),
            document=m,
        )
        terms._check_rules()
        return terms

    def _check_rules(self) -> None:
        if self.rate not in RATE_TIERS:
            choices = ", ".join(tokens(tier) for tier in RATE_TIERS)
            raise TermsError(
                "rate_not_in_tier",
                "The rate must be one of %(choices)s %(token)s per visit.",
                choices=choices,
                token=self.token,
            )
        if self.algorithms and tuple(a["manifest_hash"] for a in self.algorithms) != self.permitted_manifests:
            raise TermsError(
                "malformed", "algorithms must name exactly the permitted manifests, in their order."
            )
        if self.release_min < self.bucket_min:
            raise TermsError("minima_too_low", "release_min cannot be below bucket_min.")
        low = self.bucket_min < BUCKET_MIN_FLOOR or self.release_min < RELEASE_MIN_FLOOR
        if low and not self.development:
            raise TermsError(
                "minima_too_low",
                "A sum must come from at least %(bucket_min_floor)s wallets for the aggregator and "
                "%(release_min_floor)s for a consumer.",
                bucket_min_floor=BUCKET_MIN_FLOOR,
                release_min_floor=RELEASE_MIN_FLOOR,
            )


def build_terms(**values: Any) -> dict[str, Any]:
    """A terms document from plain values (`rate` in base units as int), checked by parsing it."""
    requirement = values["requirement"]
    check_profile(requirement)
    document = {
        "version": VERSION,
        "algorithm_class": None,
        "requirement_hash": requirement_hash(requirement),
    } | values
    document["rate"] = str(values["rate"])
    document["permitted_manifests"] = list(values.get("permitted_manifests", ()))
    Terms.parse(document)
    return document


def terms_hash(terms: Terms | Mapping[str, Any]) -> str:
    """SHA-256 of the RFC 8785 form, hex: what a subscription pins."""
    return terms.hash if isinstance(terms, Terms) else digest(terms).hex()


def tokens(amount: int) -> str:
    """Base units in tokens, exact: 5000000000000000 -> '0.005'."""
    whole, rest = divmod(amount, 10**TOKEN_DECIMALS)
    return f"{whole}.{rest:0{TOKEN_DECIMALS}d}".rstrip("0").rstrip(".")


def duration(seconds: int) -> str:
    """A period in the largest unit that fits: '14 days', '20 seconds'."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "0 seconds"


def words_for_agreement(
    terms: Terms,
    say: Callable[[str], str] = str,
    period: Callable[[int], str] = duration,
    amount: Callable[[int], str] = tokens,
) -> Sequence[str]:
    """The consent text in short sentences. Each states something the wallet or the contract enforces.

    `say` puts a sentence into another language, `period` a number of seconds, `amount` base units. What is signed, and what a
    wallet keeps in its receipt, is the English text.
    """
    fields = [str(spec.get("title") or name) for name, spec in terms.requirement["properties"].items()]
    shown, more = ", ".join(fields[:8]), len(fields) - 8
    shown += say(" and {n} more").format(n=more) if more > 0 else ""
    stay = say("you continue with it") if terms.silence == "with" else say("you continue without it")
    purpose = say("Purpose: {purpose}").format(purpose=terms.purpose)
    purpose += " " + say("Not for: {not_for}").format(not_for=terms.not_for) if terms.not_for else ""
    lines = [
        say("{name} asks to train a model with your wallet.").format(name=terms.name),
        purpose,
        say("Your wallet would read: {fields}.").format(fields=shown),
        say("It computes on your device. Only a masked number list leaves it."),
        say(
            "Nobody can read your list alone. The aggregator reads sums of at least {bucket} wallets; the buyer gets a model made "
            "of sums of at least {release}."
        ).format(bucket=terms.bucket_min, release=terms.release_min),
        say("You earn {rate} {token} for each visit, also if the algorithm fails.").format(
            rate=amount(terms.rate), token=terms.token
        ),
        *_agreed_words(terms, say),
        *classes.words(terms.algorithm_class, say),
        say(
            "New algorithms are announced {period} ahead. You can refuse each one. If you stay silent, {stay}."
        ).format(period=period(terms.notice_seconds), stay=stay),
        say(
            "You can stop at any time. In your wallet it takes effect at once; on the web we stop asking at once and your wallet "
            "deletes its permit at the next contact."
        ),
        say("Results already added to a model cannot be taken out again."),
    ]
    if terms.sandbox == "full":
        lines.append(say("Only wallets that wall algorithms in with every layer may take part."))
    if terms.privacy_level == "aggregate":
        lines.append(say("Noise is added to every sum. No formal privacy budget is claimed."))
    else:
        lines.append(
            say(
                "Noise is added to every sum, so much that a year of visits tells at most ε = 3 about you (δ = 10⁻⁶), also to the "
                "aggregator. Your wallet keeps count and refuses a visit beyond it."
            )
        )
    if terms.development:
        lines.append(say("Development terms: the usual minimum group sizes are lowered."))
    return tuple(lines)


def _agreed_words(terms: Terms, say: Callable[[str], str]) -> list[str]:
    """What a subscriber agrees to by subscribing; the permit holds these manifests' hashes and lets them run at once."""
    names = ", ".join(f"“{found['name']}”" for found in terms.algorithms)
    agreed = say("By subscribing you agree to {names}, without another notice.")
    return [agreed.format(names=names)] if names else []


def _algorithms(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= f.MOST_HASHES:
        raise TermsError(
            "malformed", "algorithms must list 1 to %(most_hashes)s algorithms.", most_hashes=f.MOST_HASHES
        )
    for item in value:
        m = f.exactly(item, ("manifest_hash", "name", "purpose"), "An algorithm of the terms")
        f.hex_bytes(m, "manifest_hash", 32)
        f.shown(m, "name", least=1, most=120)
        f.shown(m, "purpose", least=1, most=500, lines=True)
    return tuple(dict(item) for item in value)


def _address(value: Any) -> str:
    good = isinstance(value, str) and value.startswith("0x") and len(value) == 42
    if not good or any(c not in "0123456789abcdefABCDEF" for c in value[2:]):
        raise TermsError("malformed", "registry must be a 20-byte address in hex with 0x.")
    return str(value)
