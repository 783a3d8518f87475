"""Manifests as text: entries are added and replaced, and what else is in the file stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from inverse_graphics.errors import AssetError
from inverse_graphics.io.documents import parse_yaml, validated
from inverse_graphics.packs.pack import MANIFEST_NAME, Manifest, ObjectSpec

HEADER = """\
# Made by `inverse-graphics assets add`; docs/assets.md describes every field. Edit it as you like:
# entries and comments are kept when more objects are added.
"""


def new_manifest(name: str, licence: str, description: str, objects: Mapping[str, ObjectSpec]) -> str:
    """Write a manifest.

    Args:
        name: Of the pack.
        licence: Of its objects.
        description: One sentence.
        objects: By name.
    """
    fields = {"name": name, "version": "1.0", "licence": licence, "description": description}
    lines = [f"{key}: {_flow(value)}" for key, value in fields.items() if value]
    return HEADER + "\n".join([*lines, "objects:", *_entries(objects, "  ")]) + "\n"


def extended_manifest(text: str, objects: Mapping[str, ObjectSpec]) -> str:
    """Add objects to a manifest; those with the name of an old one take its place.

    Args:
        text: A valid manifest.
        objects: By name.

    Returns:
        The text with new entries at the end of `objects`; comments and other entries are as before, unless
        the manifest is written in a form (flow style, JSON) to which no lines can be added.

    Raises:
        AssetError: The manifest would have more than 1000 objects.
    """
    document = parse_yaml(text, MANIFEST_NAME, AssetError)
    kept = {name: entry for name, entry in document["objects"].items() if name not in objects}
    wanted = document | {"objects": kept | {name: _fields(spec) for name, spec in objects.items()}}
    validated(Manifest, wanted, MANIFEST_NAME, AssetError)
    changed = _with_lines(text, objects)
    if changed is not None and parse_yaml(changed, MANIFEST_NAME, AssetError) == wanted:
        return changed
    return yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True)


def manifest_path(folder: Path) -> Path:
    """The manifest of a pack."""
    return folder / MANIFEST_NAME


def _with_lines(text: str, objects: Mapping[str, ObjectSpec]) -> str | None:
    """The text with lines removed and added, or None if `objects` does not stand in lines of its own."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    node = next(value for key, value in root.value if key.value == "objects")
    if node.flow_style or root.flow_style or not isinstance(node, yaml.MappingNode):
        return None
    lines = text.splitlines()
    ends = [_last_line(lines, key.start_mark.line, value.end_mark.line) for key, value in node.value]
    indent = " " * node.value[0][0].start_mark.column
    lines[ends[-1] + 1 : ends[-1] + 1] = _entries(objects, indent)
    for (key, _), end in reversed(list(zip(node.value, ends, strict=True))):
        if key.value in objects:
            del lines[key.start_mark.line : end + 1]
    return "\n".join(lines) + "\n"


def _last_line(lines: list[str], start: int, end: int) -> int:
    """The last line of an entry: neither empty nor a comment, which may belong to what comes next."""
    last = min(end, len(lines) - 1)
    if last > start and len(lines[last]) - len(lines[last].lstrip()) <= _indent(lines[start]):
        last -= 1
    while last > start and (not lines[last].strip() or lines[last].lstrip().startswith("#")):
        last -= 1
    return last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _entries(objects: Mapping[str, ObjectSpec], indent: str) -> list[str]:
    lines = []
    for name, spec in objects.items():
        lines.append(f"{indent}{_flow(name)}:")
        for key, value in _fields(spec).items():
            if key == "resting_poses":
                lines += [f"{indent}  {key}:", *(f"{indent}    - {_flow(pose)}" for pose in value)]
            else:
                lines.append(f"{indent}  {key}: {_flow(value)}")
    return lines


def _fields(spec: ObjectSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude_defaults=True, by_alias=True)


def _flow(value: object) -> str:
    """A value on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("...").rstrip("\n")
