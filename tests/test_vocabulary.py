"""Names and prose use the field's own terms: former private words do not come back."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("inverse_graphics", "cli", "assets", "examples")
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "BENCHMARKS.md",
    "docs",
    "train",
    "scenes",
    "inverse_graphics/studies",
)

FORMER_NAMES = frozenset({
    "Stage", "StagedScenes", "Misjudgement", "Dreams", "DayAndNight", "Said", "AtMeans", "Beginning",
    "GlancingModel", "Familiarity", "Drive", "Exam", "Marks", "Freedom", "Placement", "Defence", "NOTICED",
    "PICTURED", "TINIEST", "FEWEST", "AT_ONCE", "LaidDown", "AS_LIKELY", "GOOD", "PRODUCTS", "see",
    "compare", "describe", "ahead", "alike", "turn", "turns", "turned", "trust", "anywhere", "log_share",
    "log_defended", "recall", "remember", "remembered", "robust", "worth_of_kinds", "held_between",
    "leeway_nats", "follow", "push", "judged", "wished", "unshade", "unpaint", "find_until_absent",
    "of_one_mind", "defence", "tries", "things", "freedom",
})  # fmt: skip
"""Identifiers that have been replaced."""
FORMER_WORDS = frozenset({
    "told", "tell", "tells", "dream", "dreams", "dreamt", "asleep", "awake", "misjudge", "misjudged",
    "said", "says", "noticed", "pictured", "remembered", "learnt", "unshade", "unpaint", "leeway", "slowed",
    "blamed", "glancing", "hollow", "quiet", "tiniest",
})  # fmt: skip
"""Words that no identifier contains."""
FORMER_PROSE = re.compile(
    r"\b(dream\w*|asleep|misjudg\w*|told|learnt|by itself|laid down|hollow|blamed|leeway)\b", re.IGNORECASE
)
"""Words and phrases that docstrings, comments, messages and pages do not contain."""

ALLOWED = {
    "inverse_graphics/training/recipe.py": "keys of old recipes",
    "inverse_graphics/data/multi_object_set.py": "values in old data sets",
}
"""Files whose strings may contain former words, and why; their identifiers are checked as well."""


def identifiers(source: str) -> Iterator[str]:
    """Names of classes, functions, arguments, variables and attributes, but not of imported modules."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.Attribute(attr=name):
                yield name


def former_names(source: str) -> set[str]:
    """Identifiers that are former names, or contain former words."""
    found = set()
    for name in identifiers(source):
        words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
        if name.strip("_") in FORMER_NAMES or words & FORMER_WORDS:
            found.add(name)
    return found


def prose(path: Path) -> Iterator[str]:
    """Comments and strings of a Python file; the text of any other file."""
    if path.suffix != ".py":
        yield path.read_text()
        return
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                yield token.string


def python_files() -> list[Path]:
    return [file for folder in SOURCES for file in sorted((ROOT / folder).rglob("*.py"))]


def pages() -> list[Path]:
    found = [ROOT / page for page in PAGES if (ROOT / page).is_file()]
    folders = [ROOT / page for page in PAGES if (ROOT / page).is_dir()]
    return found + [
        file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix in (".md", ".yaml")
    ]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_identifier_is_a_former_name():
    found = {
        relative(file): sorted(names) for file in python_files() if (names := former_names(file.read_text()))
    }
    assert found == {}


def test_no_prose_contains_former_words():
    found = {}
    for file in [*python_files(), *pages()]:
        words = {match.group(0) for text in prose(file) for match in FORMER_PROSE.finditer(text)}
        if words and relative(file) not in ALLOWED:
            found[relative(file)] = sorted(words)
    assert found == {}


def test_allowed_files_need_the_exception():
    for name in ALLOWED:
        assert any(FORMER_PROSE.search(text) for text in prose(ROOT / name)), name


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("class Stage: pass", "Stage"),
        ("def sample_dreams(count): pass", "sample_dreams"),
        ("def encode(*, turn=0): pass", "turn"),
        ("state.said = 1", "said"),
        ("draw(ahead=2)", "ahead"),
        ("labels_told = 1", "labels_told"),
        ("def _defence(): pass", "_defence"),
    ],
)
def test_a_former_name_would_be_found(source, name):
    assert former_names(source) == {name}


@pytest.mark.parametrize(
    "text", ['"""A dream of a scene."""', "# what the network was told", "x = '16 by itself'"]
)
def test_a_former_word_would_be_found(tmp_path, text):
    file = tmp_path / "module.py"
    file.write_text(f"{text}\n")
    assert any(FORMER_PROSE.search(part) for part in prose(file))


def test_standard_terms_are_not_found():
    source = "def describe_scene(orientation, stage_index, half_turn): return orientation.degrees_of_freedom"
    assert former_names(source) == set()
