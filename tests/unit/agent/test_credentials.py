"""Reading a person's data: every wrong file gets a sentence that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from wallets.agent import credentials
from wallets.agent.errors import BadData

REQUIREMENT = {
    "type": "object",
    "properties": {
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "height": {"type": "number"},
        "sector": {"type": "string", "enum": ["health", "craft", "law"]},
        "grade": {"enum": [1, 2, 3]},
        "remote": {"type": "boolean"},
        "skills": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["age", "sector"],
}


def read(tmp_path: Path, content: str | bytes, name: str = "me.csv", row: int = 1) -> credentials.Record:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return credentials.read_file(path, REQUIREMENT, row=row)


def test_a_csv_row_is_typed_by_the_requirement(tmp_path: Path) -> None:
    text = 'age,height,sector,grade,remote,skills\n41,1.75,law,2,yes,"[""a"",""b""]"\n'
    assert read(tmp_path, text) == {
        "age": 41,
        "height": 1.75,
        "sector": "law",
        "grade": 2,
        "remote": True,
        "skills": ["a", "b"],
    }


def test_a_byte_order_mark_and_empty_cells_are_fine(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfage,height,sector\r\n41,,law\r\n") == {"age": 41, "sector": "law"}


def test_a_row_is_chosen(tmp_path: Path) -> None:
    assert read(tmp_path, "age,sector\n1,law\n2,craft\n", row=2) == {"age": 2, "sector": "craft"}


def test_json_holds_one_object(tmp_path: Path) -> None:
    assert read(tmp_path, '{"age": 41}', "me.json") == {"age": 41}
    assert read(tmp_path, '[{"age": 41}]', "me.json") == {"age": 41}


@pytest.mark.parametrize(
    "content, says",
    [
        ("", "empty"),
        ("  \n\n", "empty"),
        (b"age,sector\n41,B\xfcro\n", "UTF-8"),
        ("age,sector,shoe\n41,law,44\n", "nobody asked for: shoe"),
        ("age\n41\n", "columns missing: sector"),
        ("age,age,sector\n1,2,law\n", "named twice: age"),
        ("age,sector\n", "no row"),
        ("age,sector\n41\n", "1 values for 2 columns"),
        ("age,sector\n41,medicine\n", "“medicine” is not one of the allowed values (health, craft, law)"),
        ("age,sector,grade\n41,law,9\n", "grade: “9” is not one of"),
        ("age,sector\nold,law\n", "age: “old” is not a number"),
        ("age,sector\n41.5,law\n", "not a whole number"),
        ("age,sector,height\n41,law,inf\n", "not a finite number"),
        ("age,sector,remote\n41,law,maybe\n", "neither true nor false"),
        ("age,sector,skills\n41,law,a;b\n", "written as JSON"),
        ('age,sector\n41,"law\n', "well-formed CSV"),
        ("age,sector,height\n41,law,NaN\n", "Leave the field out where you have no value"),
        ("age,sector,height\n41,law,1e400\n", "not a finite number"),
        ("age,sector,height\n41,law,1_0\n", "“1_0” is not a number"),
        ("age;sector\n41;law\n", "separated by “;”"),
        ("age\tsector\n41\tlaw\n", "separated by tabs"),
        ('age,sector,skills\n41,law,"[NaN]"\n', "written as JSON"),
    ],
)
def test_a_wrong_csv_is_named(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(BadData) as raised:
        read(tmp_path, content)
    assert says in raised.value.sentence


@pytest.mark.parametrize(
    "content, says",
    [
        ("{", "not JSON (line 1)"),
        ("[]", "one object with your fields"),
        ("[1]", "one object with your fields"),
        ("41", "one object with your fields"),
        ('{"height": NaN}', "NaN is not a JSON number. Correct that in the file, or leave it out."),
        ('{"height": -Infinity}', "-Infinity is not a JSON number"),
        ('{"height": 1e400}', "height: holds a number that is infinite or too large"),
        ('{"age": 9007199254740993}', "age: holds a number that is infinite or too large"),
        (
            '{"skills": ["\\ud800"]}',
            "skills: holds a number that is infinite or too large, or a broken character",
        ),
        ('{"age": %s}' % ("9" * 5000), "cannot be used"),
        ('{"age": 1, "age": 2}', "age is named twice"),
        ('{"age": 1, "shoe": 44}', "fields nobody asked for: shoe. Take them out of the file"),
        ("[" * 100_000, "nested deeper than 64 levels"),
    ],
)
def test_wrong_json_is_named(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(BadData) as raised:
        read(tmp_path, content, "me.json")
    assert says in raised.value.sentence


def test_a_missing_row_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no row 7"):
        read(tmp_path, "age,sector\n1,law\n", row=7)
    with pytest.raises(BadData, match="cannot be read"):
        credentials.read_file(tmp_path / "nothing.csv", REQUIREMENT)
    with pytest.raises(BadData, match="cannot be read"):
        credentials.read_file(tmp_path, REQUIREMENT)


def test_a_projection_holds_only_what_is_asked(tmp_path: Path) -> None:
    assert credentials.project({"age": 1, "secret": 2}, REQUIREMENT) == {"age": 1}
    assert credentials.changes({"a": 1, "b": 2}, {"b": 3, "c": 4}) == (["c"], ["b"])
