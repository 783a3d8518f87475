import json
import math
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from inverse_graphics.errors import RecipeError, SceneError
from inverse_graphics.io.documents import (
    MAX_BYTES,
    MAX_DEPTH,
    parse_json,
    parse_yaml,
    read_document,
    validated,
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_what_json_writes_is_read_back(value):
    assert parse_json(json.dumps(value, allow_nan=False) if _finite(value) else "0", "x", SceneError) == (
        value if _finite(value) else 0
    )


def _finite(value):
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list) else True


@given(plain)
def test_what_pyyaml_writes_is_read_back(value):
    assert parse_yaml(yaml.dump(value, Dumper=_Unshared), "x", SceneError) == value


class _Unshared(yaml.SafeDumper):
    """Writes every value out, even where two are the same object."""

    def ignore_aliases(self, data):
        return True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("-2.5E+2", -250.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("007", 7),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("", None),
        ("~", None),
        ("-.inf", -math.inf),
        ("1_000", "1_000"),
        ("=", "="),
        ("<<: 3", {"<<": 3}),
    ],
)
def test_scalars_follow_version_1_2(text, value):
    assert parse_yaml(text, "x", SceneError) == value
    assert type(parse_yaml(text, "x", SceneError)) is type(value)


BILLION_LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BILLION_LAUGHS, "line 1: anchors and aliases"),
        ("&a [*a]", "anchors and aliases"),
        ("a: !!python/object/apply:os.system ['echo hacked']", "tag .*python/object/apply:os.system"),
        ("!!timestamp 2024-01-01", "tag"),
        ("[" * (MAX_DEPTH + 1), "deeper than"),
        ("[" * 100_000, "deeper than|not valid YAML"),
        ("- " * 5_000 + "x", "deeper than"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: key 'a' appears twice"),
        ("a: [1, 2", "line 1, column 9"),
        ("a:\n\t- b", "line 2"),
        ("? [a, b]\n: 1", "a key must be a word"),
        ("a: 1\n---\nb: 2", "second document"),
        ("\x00", "not valid YAML"),
        ("9" * 10_000, "not valid YAML"),
        ("x" * (MAX_BYTES["YAML"] + 1), "larger than"),
        ("[" + "1," * 250_000 + "1]", "more than"),
    ],
    ids=lambda text: text[:20].replace("\x00", "nul"),
)
def test_hostile_yaml_is_one_line(text, reason):
    with pytest.raises(RecipeError, match=reason) as raised:
        parse_yaml(text, "evil.yaml", RecipeError)
    assert str(raised.value).startswith("evil.yaml: ")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "line 1, column 2"),
        ('{"a": 1, "a": 2}', "key 'a' appears twice"),
        ("[NaN]", "NaN is not a JSON number"),
        ("-Infinity", "not a JSON number"),
        ("[" * 100_000 + "]" * 100_000, "JSON"),
        ("[" * 40 + "]" * 40, "deeper than"),
        ("9" * 10_000, "not valid JSON"),
        ("", "line 1, column 1"),
    ],
    ids=lambda text: text[:20],
)
def test_hostile_json_is_one_line(text, reason):
    with pytest.raises(SceneError, match=reason) as raised:
        parse_json(text, "evil.json", SceneError)
    assert "\n" not in str(raised.value)


def test_files_are_read_by_their_suffix(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "a.yaml").write_bytes("\ufeffa: 1".encode())
    assert read_document(tmp_path / "a.json", SceneError) == {"a": 1}
    assert read_document(tmp_path / "a.yaml", SceneError) == {"a": 1}


def test_files_that_cannot_be_read_are_one_line_each(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes("é".encode() * (MAX_BYTES["YAML"] // 2 + 1))
    reasons = {"none": "no such file", ".": "is a folder", "binary": "UTF-8", "large": "larger than"}
    for name, reason in reasons.items():
        with pytest.raises(SceneError, match=reason):
            read_document(tmp_path / name, SceneError)


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: tuple[float, float]
    colour: str = "white"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "t.yaml: size: missing"),
        ({"size": [1, "wide"]}, "t.yaml: size.1: expected a number, got 'wide'"),
        ({"size": [1, 1], "color": "red"}, "t.yaml: color: unknown field, did you mean colour"),
        ({"size": 3, "colour": 4}, r"t.yaml: size: .*, got 3 \(and 1 more\)"),
        ([1] * 100, r"t.yaml: expected a mapping of fields to values, got \[1.*\.\.\.$"),
        ({"size": [1, "\x1b[31m\nred"]}, "t.yaml: size.1"),
    ],
)
def test_a_document_that_does_not_fit_is_one_line(document, message):
    with pytest.raises(SceneError, match=message) as raised:
        validated(Table, document, "t.yaml", SceneError)
    assert str(raised.value).isprintable()


def test_a_document_that_fits_becomes_the_model():
    assert validated(Table, {"size": [1, 2]}, "t.yaml", SceneError) == Table(size=(1, 2))


class Box(BaseModel):
    kind: Literal["box"]
    side: Annotated[float, Field(gt=0)]


class Ball(BaseModel):
    kind: Literal["ball"]
    radius: float


class Shelf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    shapes: list[Annotated[Box | Ball, Field(discriminator="kind")]] = []
    width: float | tuple[float, float] = 1.0
    levels: Annotated[int, Field(le=9)] = 1


def test_every_problem_is_told_once_in_the_words_of_the_document():
    document = {
        "shapes": [{"kind": "box", "side": 0}, {"kind": "cone"}, {"kind": "ball"}],
        "width": "wide",
        "levels": 2.5,
        "widht": 2,
    }
    with pytest.raises(SceneError) as raised:
        validated(Shelf, document, "shelf.yaml", SceneError)
    assert [str(raised.value), *raised.value.__notes__] == [
        "shelf.yaml: name: missing (and 6 more)",
        "shelf.yaml: shapes.0.side: expected more than 0, got 0",
        "shelf.yaml: shapes.1: expected kind 'box' or 'ball', got 'cone'",
        "shelf.yaml: shapes.2.radius: missing",
        "shelf.yaml: width: expected a number or a list, got 'wide'",
        "shelf.yaml: levels: expected a whole number, got 2.5",
        "shelf.yaml: widht: unknown field, did you mean width?",
    ]


def test_what_follows_from_another_problem_is_not_told():
    """A range with a wrong end is no number either."""
    with pytest.raises(SceneError) as raised:
        validated(Shelf, {"name": "a", "width": [1, "b"]}, "shelf.yaml", SceneError)
    assert str(raised.value) == "shelf.yaml: width.1: expected a number, got 'b'"
    assert not hasattr(raised.value, "__notes__")


def test_of_many_problems_twenty_are_told():
    with pytest.raises(SceneError) as raised:
        validated(Shelf, {f"x{i}": "\n" * i for i in range(50)}, "shelf\n.yaml", SceneError)
    assert str(raised.value).endswith("name: missing (and 50 more)")
    assert len(raised.value.__notes__) == 19
    assert all(note.isprintable() for note in raised.value.__notes__)
