"""The person's own data: reading it from files with messages a person understands, keeping it, projecting it.

One wallet holds one person's record: a JSON object of named fields. Declared values are what the holder typed or
imported; attested values (issuer-signed) will be a second kind of entry under the same names and the same projection.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from math import isinf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from collectives.datatool import saved
from collectives.terms.errors import TermsError
from wallets.agent import journal, plain_json
from wallets.agent.errors import BadData, NotFound
from wallets.agent.journal import Kind
from wallets.agent.vault import Records

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

RECORD = ("record", "main")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LARGEST_FILE = 4 * 1024 * 1024
Record = dict[str, Any]


def read_file(path: Path, requirement: Mapping[str, Any], *, row: int = 1) -> Record:
    """One person's record from a .json or .csv file, typed as the requirement says. Raises BadData; changes nothing."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BadData(f"{path.name} is larger than 4 MiB. One wallet holds one person's record.")
        raw = path.read_bytes()
    except OSError as error:
        raise BadData(
            f"{path} cannot be read: {error.strerror or error}. Check the path and its permissions."
        ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(
            f"{path.name} is not UTF-8 text (byte {error.start} does not fit). Save it as UTF-8 and import it again."
        ) from None
    return from_text(path.name, text, requirement, row=row)


def from_text(name: str, text: str, requirement: Mapping[str, Any], *, row: int = 1) -> Record:
    """The record in a file's text; `name` decides between CSV and JSON. Raises BadData."""
    if not text.strip():
        raise BadData(f"{name} is empty. Export your data again and check that the file has content.")
    if name.lower().endswith(".csv"):
        return from_csv(text, requirement, row=row)
    value = from_json(text)
    if saved.is_saved(value):
        try:
            value = saved.unpack(value, requirement)
        except TermsError as error:
            raise BadData(str(error), code=error.code) from None
    unknown = sorted(set(value) - set(requirement["properties"]))
    if unknown:
        raise BadData(
            f"{name} has fields nobody asked for: {', '.join(unknown[:8])}. Take them out of the file. "
            f"Asked for: {', '.join(list(requirement['properties'])[:40])}."
        )
    return _carried(value)


def from_json(text: str) -> Record:
    """A record from JSON text: one object, or a list with exactly one."""
    try:
        value = plain_json.loads(text, names_once=True)
    except json.JSONDecodeError as error:
        raise BadData(f"This is not JSON (line {error.lineno}). Check the file or save it as CSV.") from None
    except ValueError as error:
        raise BadData(
            f"This JSON cannot be used: {error}. Correct that in the file, or leave it out."
        ) from None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise BadData('The file must hold one object with your fields, for example {"age": 41}.')
    return value


def from_csv(text: str, requirement: Mapping[str, Any], *, row: int = 1) -> Record:
    """A record from one row of CSV text; the header must name the requirement's fields. Empty cells are left out."""
    try:
        rows = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except csv.Error as error:
        raise BadData(f"This is not well-formed CSV: {error}. Save it again as CSV.") from None
    if not rows:
        raise BadData("The file is empty. Export your data again and check that it has content.")
    header, people = [name.strip() for name in rows[0]], rows[1:]
    _check_separator(header)
    _check_header(header, requirement)
    if not people:
        raise BadData("The file has a header but no row with your values. Add one row below the header.")
    if not 1 <= row <= len(people):
        raise BadData(f"There is no row {row}: the file has {len(people)}. Choose one with --row.")
    cells = people[row - 1]
    if len(cells) != len(header):
        raise BadData(
            f"Row {row} has {len(cells)} values for {len(header)} columns. Check quotes and separators."
        )
    fields = requirement["properties"]
    given = zip(header, cells, strict=True)
    return _carried({name: _typed(name, cell.strip(), fields[name]) for name, cell in given if cell.strip()})


def from_words(words: Mapping[str, str], requirement: Mapping[str, Any]) -> Record:
    """A record from texts, typed as the requirement says; lists and objects are JSON text."""
    fields = requirement["properties"]
    unknown = sorted(set(words) - set(fields))
    if unknown:
        raise BadData(f"Fields nobody asked for: {', '.join(unknown[:8])}. Asked for: {', '.join(fields)}.")
    return _carried({name: _typed(name, text.strip(), fields[name]) for name, text in words.items()})


def project(record: Mapping[str, Any], requirement: Mapping[str, Any]) -> Record:
    """The part of a record a requirement asks for; nothing else is ever encoded or committed to."""
    return {name: record[name] for name in requirement["properties"] if name in record}


async def load(records: Records) -> Record:
    """The stored record; empty before anything was imported."""
    return await records.get(*RECORD) or {}


async def save(records: Records, changes: Mapping[str, Any]) -> Record:
    """Merge fields into the stored record and return it."""
    merged = {**await load(records), **changes}
    await records.put(*RECORD, merged)
    return merged


async def forget(agent: WalletAgent, names: Sequence[str]) -> list[str]:
    """Delete fields of the record and erase them from the file; what was deleted. Raises NotFound, naming what is not there.

    Collectives that ask for them get no visit from then on; their permits stay.
    """
    async with agent.store.transaction() as records:
        record = await load(records)
        unknown = sorted(set(names) - set(record))
        if unknown or not names:
            raise NotFound(
                f"Your data has no field {', '.join(unknown[:8]) or 'of no name'}. Nothing was deleted."
            )
        await records.put(*RECORD, {name: value for name, value in record.items() if name not in names})
        sentence = f"{len(set(names))} fields deleted."
        await journal.append(records, agent.now(), Kind.DATA, sentence=sentence)
    await agent.store.erase()
    return sorted(set(names))


def changes(before: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Names of fields that would be added and replaced by an import."""
    added = sorted(name for name in new if name not in before)
    replaced = sorted(name for name in new if name in before and before[name] != new[name])
    return added, replaced


def _carried(record: Record) -> Record:
    """The record itself. BadData for what its commitment could not be made of: infinities, whole numbers beyond 2^53, torn characters."""
    for name, value in record.items():
        try:
            rfc8785.dumps({name: value})
        except (ValueError, RecursionError):
            raise BadData(
                f"{name}: holds a number that is infinite or too large, or a broken character. Correct it or leave the field out."
            ) from None
    return record


def _check_separator(header: Sequence[str]) -> None:
    other = next((mark for mark in (";", "\t") if len(header) == 1 and mark in header[0]), None)
    if other is not None:
        shown = "tabs" if other == "\t" else f"“{other}”"
        raise BadData(
            f"The columns are separated by {shown}. Save the file as CSV with commas between the values."
        )


def _check_header(header: Sequence[str], requirement: Mapping[str, Any]) -> None:
    fields = requirement["properties"]
    twice = sorted({name for name in header if header.count(name) > 1})
    unknown = [name for name in header if name not in fields]
    absent = [name for name in requirement.get("required", ()) if name not in header]
    problems = []
    if twice:
        problems.append(f"columns named twice: {', '.join(twice)}")
    if unknown:
        problems.append(f"columns nobody asked for: {', '.join(unknown[:8])}")
    if absent:
        problems.append(f"columns missing: {', '.join(absent[:8])}")
    if problems:
        raise BadData(
            f"The columns do not match the requirement: {'; '.join(problems)}. "
            f"Expected columns: {', '.join(list(fields)[:40])}."
        )


def _typed(name: str, cell: str, schema: Mapping[str, Any]) -> Any:
    """A CSV cell as the type its field has; JSON text for lists and objects."""
    kind = schema.get("type")
    options = schema.get("enum")
    if options is not None and cell not in options:
        for option in options:
            if not isinstance(option, str) and json.dumps(option) == cell:
                return option
        raise BadData(f"{name}: “{cell}” is not one of the allowed values ({_some(options)}).")
    if kind == "boolean":
        return _boolean(name, cell)
    if kind in {"number", "integer"}:
        return _number(name, cell, integer=kind == "integer")
    if kind in {"array", "object"}:
        try:
            return plain_json.loads(cell, names_once=True)
        except ValueError:
            raise BadData(
                f'{name}: a list or object is written as JSON in its cell, for example ["a", "b"].'
            ) from None
    return cell


def _boolean(name: str, cell: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if cell.lower() not in words:
        raise BadData(f"{name}: “{cell}” is neither true nor false.")
    return words[cell.lower()]


def _number(name: str, cell: str, *, integer: bool) -> int | float:
    if cell.lower().lstrip("+-") in {"nan", "inf", "infinity"}:
        raise BadData(
            f"{name}: “{cell}” is not a finite number. Leave the field out where you have no value."
        )
    if not _NUMBER.fullmatch(cell):
        raise BadData(f"{name}: “{cell}” is not a number. Use a point for decimals and no unit.")
    value = float(cell)
    if isinf(value):
        raise BadData(f"{name}: “{cell}” is not a finite number.")
    if integer and value != int(value):
        raise BadData(f"{name}: “{cell}” is not a whole number.")
    return int(value) if integer else value


def _some(options: Sequence[Any]) -> str:
    shown = ", ".join(str(option) for option in options[:8])
    return shown + (", …" if len(options) > 8 else "")
