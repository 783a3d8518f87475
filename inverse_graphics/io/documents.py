"""Untrusted YAML and JSON: parsed as data only, within bounds; errors of one line, or one for each problem.

YAML follows the core schema of version 1.2 (https://yaml.org/spec/1.2.2, §10.3.2): 1e-3 is a number, and
yes, no, on, off, 1:30 and 2024-01-01 are strings. Tags and aliases are refused: a document is a tree of
mappings, lists, strings, numbers, booleans and null, and parsing costs no more than its size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

import yaml
from pydantic import BaseModel, RootModel, ValidationError

from inverse_graphics.errors import InverseGraphicsError

MAX_BYTES = {"YAML": 2**20, "JSON": 2**24}
"""YAML takes seconds per MiB to parse; JSON does not, and the checkpoint of a long run has a long history."""
MAX_DEPTH = 32
MAX_NODES = 50_000
MAX_PROBLEMS = 20
"""Problems of one document that a message lists."""
EXPECTED, GOT = "expected ", ", got "
PYTHON_TYPES = frozenset({"float", "int", "str", "bool", "none", "list", "tuple", "dict"})
EXPECTATIONS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "too_short": "at least {min_length} values",
    "too_long": "at most {max_length} values",
    "string_type": "text",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping of fields to values",
    "model_attributes_type": "a mapping of fields to values",
    "union_tag_not_found": "a mapping with the field kind",
}
"""What was expected, by the type of pydantic's error."""
SUFFIXES = (".yaml", ".yml", ".json")

Model = TypeVar("Model", bound=BaseModel)
ErrorKind = type[InverseGraphicsError]


def shipped_documents(part: str, folder: str = ".") -> dict[str, Path]:
    """The .yaml files of a part of this package, such as "scenes", or of a folder of it: by name, sorted."""
    found = (Path(str(files(f"inverse_graphics.{part}"))) / folder).glob("*.yaml")
    return {path.stem: path for path in sorted(found)}


def find_document(name_or_path: str | Path, what: str, shipped: Mapping[str, Path], error: ErrorKind) -> Path:
    """Find the file of a document: a shipped one's by its name, or the path itself.

    Args:
        name_or_path: a name in `shipped`, or a path.
        what: the type of document, for the message.
        shipped: files by name.
        error: kind of error to raise.

    Raises:
        error: neither a name in `shipped` nor a path with a suffix that documents have.
    """
    name = str(name_or_path)
    if name in shipped:
        return shipped[name]
    path = Path(name_or_path)
    if path.suffix.lower() not in SUFFIXES:
        near = get_close_matches(name, shipped, n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        known = ", ".join(shipped)
        raise error(f"no {what} '{name}': {hint}expected {known}, or a .yaml, .yml or .json file")
    return path


def read_document(path: Path | str, error: ErrorKind) -> Any:
    """Read a .json file as JSON and any other as YAML.

    Raises:
        error: the file is missing, too large, not UTF-8 or not a valid document; the message names it.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return parse_json(_read_text(path, MAX_BYTES["JSON"], error), str(path), error)
    return parse_yaml(_read_text(path, MAX_BYTES["YAML"], error), str(path), error)


def parse_yaml(text: str, name: str, error: ErrorKind) -> Any:
    """Parse YAML text to plain values; `name` identifies its source in messages.

    Raises:
        error: not YAML, more than one document, a tag, an alias, a repeated key, too deep or too large.
    """
    try:
        _check_size(text, name, MAX_BYTES["YAML"], error)
        _check_structure(text, name, error)
        return yaml.load(text, Loader=_CoreLoader)  # noqa: S506 - derived from SafeLoader
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise error(_one_line(f"{name}: not valid YAML: {where}{problem.problem}")) from problem
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise error(_one_line(f"{name}: not valid YAML: {problem}")) from problem


def parse_json(text: str, name: str, error: ErrorKind) -> Any:
    """Parse JSON text to plain values; `name` identifies its source in messages.

    Raises:
        error: not JSON, a repeated key, NaN or Infinity, too deep or too large.
    """
    try:
        _check_size(text, name, MAX_BYTES["JSON"], error)
        document = json.loads(text, object_pairs_hook=_unrepeated, parse_constant=_refuse_constant)
        _check_depth(document, name, error)
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise error(f"{name}: not valid JSON: {where}: {problem.msg}") from problem
    except (ValueError, RecursionError) as problem:
        raise error(_one_line(f"{name}: not valid JSON: {problem}")) from problem
    return document


def validated(model: type[Model], document: Any, name: str, error: ErrorKind) -> Model:
    """Build a pydantic model from a parsed document.

    Raises:
        error: the document does not fit the model. The message has the first problem, `name: field: problem`,
            and the number of others; each of these, 19 at most, is a note of the error of that form.
    """
    try:
        return model.model_validate(document)
    except ValidationError as problem:
        first, *others = [f"{name}: {line}" for line in _problems(problem, model, document)]
        raised = error(first + (f" (and {len(others)} more)" if others else ""))
        for line in others[: MAX_PROBLEMS - 1]:
            raised.add_note(_one_line(line))
        raise raised from problem


def validation_message(problem: ValidationError) -> str:
    """Format a pydantic error as one line: each wrong field, what was expected and what came."""
    return "; ".join(_problems(problem))


def _problems(
    problem: ValidationError, model: type[BaseModel] | None = None, document: Any = None
) -> list[str]:
    """One line for each wrong field.

    Args:
        problem: what pydantic found.
        model: that was expected, for names like that of an unknown field.
        document: that came.
    """
    by_field: dict[tuple[str, ...], list[str]] = {}
    for found in problem.errors(include_url=False):
        wordings = by_field.setdefault(_field(found["loc"], document), [])
        if (wording := _wording(found, model)) not in wordings:
            wordings.append(wording)
    followed = {field[:end] for field in by_field for end in range(len(field))}
    return [
        _one_line(f"{'.'.join(field)}{': ' if field else ''}{wording}")
        for field, wordings in by_field.items()
        if field not in followed  # a list with a wrong value is also too short, and no number
        for wording in _joined(wordings)
    ]


def _joined(wordings: list[str]) -> list[str]:
    """Join what the alternatives of a union expect by "or", if all of them say what came."""
    parts = [wording.removeprefix(EXPECTED).partition(GOT) for wording in wordings]
    if len(parts) < 2 or any(not wording.startswith(EXPECTED) for wording in wordings):
        return wordings
    return [f"{EXPECTED}{' or '.join(part[0] for part in parts)}{GOT}{parts[0][2]}"]


def _field(loc: tuple[int | str, ...], document: Any) -> tuple[str, ...]:
    """The path of a field in the document, without pydantic's names for the alternatives of a union."""
    path: list[str] = []
    here: Any = document
    for part in loc:
        in_list = isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)
        if in_list or (isinstance(here, dict) and part in here):
            here = here[part]
        elif _is_alternative(part) or (isinstance(here, dict) and here.get("kind") == part):
            continue
        else:  # missing, or renamed by a validator
            here = None
        path.append(str(part))
    return tuple(path)


def _is_alternative(part: int | str) -> bool:
    """Whether pydantic gives this name to an alternative of a union: int, tuple[…], a class."""
    class_or_type = r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*|[\w-]*(\[.*|-[a-z]+)"
    return str(part) in PYTHON_TYPES or re.fullmatch(class_or_type, str(part)) is not None


def _wording(found: Mapping[str, Any], model: type[BaseModel] | None) -> str:
    """What is wrong with a field, in words that need no knowledge of Python."""
    kind, context = found["type"], found.get("ctx", {})
    came = f"{GOT}{_shortened(found['input'])}"
    if kind == "extra_forbidden":
        *section, name = found["loc"]
        near = get_close_matches(str(name), _field_names(model, section), n=1)
        return f"unknown field{f', did you mean {near[0]}?' if near else came}"
    if kind == "value_error":
        return found["msg"].removeprefix("Value error, ")
    if kind == "union_tag_invalid":
        kinds = context["expected_tags"].replace(", ", " or ")
        return f"{EXPECTED}kind {kinds}{GOT}{_shortened(context['tag'])}"
    if kind in ("too_short", "too_long"):
        came = f"{GOT}{context['actual_length']}"
    if kind in EXPECTATIONS:
        return f"{EXPECTED}{EXPECTATIONS[kind].format(**context)}{came}"
    return "missing" if kind == "missing" else f"{found['msg']}{came}"


def _field_names(model: type[BaseModel] | None, section: Sequence[int | str]) -> list[str]:
    """The fields that a section of a document may have, whichever alternatives of unions were meant."""
    models = [] if model is None else list(_models(model))
    for part in section:
        fields = [
            one.model_fields[part] for one in models if isinstance(part, str) and part in one.model_fields
        ]
        if fields:
            models = [inner for field in fields for inner in _models(field.annotation)]
    return [name for one in models for name in one.model_fields]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models of a type: itself, or those of a union or list."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        annotation = annotation.model_fields["root"].annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's core scalars that refuses repeated keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool):
                raise yaml.MarkedYAMLError(None, None, "a key must be a word", key_node.start_mark)
            if key in mapping:
                raise yaml.MarkedYAMLError(None, None, f"key {key!r} appears twice", key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


_CORE_SCALARS: tuple[tuple[str, str, str], ...] = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
)
for _tag, _pattern, _first in _CORE_SCALARS:
    _CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(rf"^(?:{_pattern})$"),
        [character if character != "\0" else "" for character in _first],
    )


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _real(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan"))


_CoreLoader.add_constructor("tag:yaml.org,2002:int", _integer)
_CoreLoader.add_constructor("tag:yaml.org,2002:float", _real)


def _read_text(path: Path, most: int, error: ErrorKind) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
        return content.decode("utf-8-sig")
    except FileNotFoundError as problem:
        raise error(f"no such file: {path}") from problem
    except IsADirectoryError as problem:
        raise error(f"{path} is a folder: expected a file") from problem
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        if len(content) > most:  # the bound may split a multi-byte character
            raise error(_too_large(str(path), most)) from problem
        raise error(f"{path}: not a text file in UTF-8 (byte {problem.start})") from problem


def _check_size(text: str, name: str, most: int, error: ErrorKind) -> None:
    if len(text) > most or len(text.encode()) > most:
        raise error(_too_large(name, most))


def _too_large(name: str, most: int) -> str:
    return f"{name}: larger than {most // 2**20} MiB, the most that is read as a document"


def _check_structure(text: str, name: str, error: ErrorKind) -> None:
    """Check the event stream, whose cost is linear in the text, before any value is built from it."""
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        nodes += isinstance(event, yaml.NodeEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise error(f"{name}: line {line}: anchors and aliases are not allowed: write the value out")
        if tag := getattr(event, "tag", None):
            raise error(_one_line(f"{name}: line {line}: the tag {tag} is not allowed: write plain values"))
        if depth > MAX_DEPTH or nodes > MAX_NODES or documents > 1:
            what = _exceeded_bound(depth, nodes)
            raise error(f"{name}: line {line}: {what}")


def _exceeded_bound(depth: int, nodes: int) -> str:
    if depth > MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH} levels"
    if nodes > MAX_NODES:
        return f"more than {MAX_NODES:,} values"
    return "a second document begins: expected one"


def _check_depth(document: Any, name: str, error: ErrorKind) -> None:
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise error(f"{name}: nested deeper than {MAX_DEPTH} levels")
        level = [child for parent in level for child in _children(parent)]


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} appears twice")
    return mapping


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _one_line(text: str) -> str:
    """Fold white space and replace control characters, which untrusted text may contain."""
    return "".join(character if character.isprintable() else " " for character in " ".join(text.split()))
