"""The class of algorithms that terms admit: what they are for, how large, which fields they read and predict, what they send back.

Who subscribes agrees to the class. The owner may announce only algorithms inside it, and a wallet refuses the notice of any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from collectives.terms import fields as f
from collectives.terms.algorithm import Manifest, output_length, parameter_count
from collectives.terms.algorithm.outputs import OUTPUTS
from collectives.terms.errors import TermsError
from collectives.terms.sentences import Sentence

MAX_PARAMETERS = 2_000_000
_ALWAYS = ("purpose", "max_parameters")
_LISTS = ("inputs", "target", "outputs")
_MOST = 200


def parse(value: Any) -> Mapping[str, Any] | None:
    """A class as it stands in terms and permits; None admits every algorithm that fits the data requirement.

    `inputs` and `target` are short names of fields that may be read and predicted, `outputs` kinds of output; a list that is
    not there restricts nothing.

    Raises:
        TermsError: `malformed`.
    """
    if value is None:
        return None
    there = [name for name in _LISTS if isinstance(value, Mapping) and name in value]
    m = f.exactly(value, (*_ALWAYS, *there), "The class of algorithms")
    f.shown(m, "purpose", least=1, most=500, lines=True)
    f.integer(m, "max_parameters", 1, MAX_PARAMETERS)
    for name in there:
        _names(m[name], name)
    if not set(m.get("outputs", ())) <= set(OUTPUTS):
        raise TermsError(
            "malformed", "outputs of the class must be some of %(outputs)s.", outputs=", ".join(OUTPUTS)
        )
    return dict(m)


def _names(value: Any, name: str) -> None:
    good = isinstance(value, list) and 1 <= len(value) <= _MOST
    if not good or not all(isinstance(item, str) and 0 < len(item) <= 120 for item in value):
        raise TermsError(
            "malformed", "%(name)s of the class must list 1 to %(most)s names.", name=name, most=_MOST
        )
    if len(set(value)) != len(value):
        raise TermsError("malformed", "%(name)s of the class names something twice.", name=name)


def outside(algorithm_class: Mapping[str, Any] | None, manifest: Manifest) -> str:
    """Why an algorithm is not in the class, as a sentence; empty when it is."""
    if algorithm_class is None:
        return ""
    size = max(parameter_count(manifest), output_length(manifest))
    most = algorithm_class["max_parameters"]
    if size > most:
        return Sentence(
            "It has %(size)s parameters; the class admits at most %(most)s.", size=size, most=most
        )
    for name, used in (("inputs", manifest.inputs), ("target", manifest.target)):
        more = ", ".join(sorted(set(used) - set(algorithm_class.get(name, used))))
        if more and name == "inputs":
            return Sentence("It reads %(fields)s, which the class does not.", fields=more)
        if more:
            return Sentence("It predicts %(fields)s, which the class does not.", fields=more)
    kinds = algorithm_class.get("outputs")
    if kinds is not None and manifest.output.kind not in kinds:
        return Sentence(
            "It sends back %(kind)s; the class admits %(kinds)s.",
            kind=manifest.output.kind,
            kinds=", ".join(kinds),
        )
    return ""


def words(algorithm_class: Mapping[str, Any] | None, say: Callable[[str], str] = str) -> list[str]:
    """What a holder agrees to with the class; nothing where there is none. `say` puts a sentence into another language."""
    if algorithm_class is None:
        return []
    m = algorithm_class
    limits = [say("have at most {most} parameters").format(most=f"{m['max_parameters']:,}")]
    for name, sentence in (
        ("inputs", say("read only {names}")),
        ("target", say("predict only {names}")),
        ("outputs", say("send back only {names}")),
    ):
        limits += [sentence.format(names=", ".join(m[name]))] if name in m else []
    whole = say(
        "New algorithms must be of this class: {purpose}. They {limits}. Your wallet refuses any other."
    )
    return [whole.format(purpose=m["purpose"].rstrip("."), limits=", ".join(limits))]
