"""Records of a study's runs, as in `results.json`, and their output as tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from inverse_graphics.io.files import atomic_write, storage_error

Figures = dict[str, Any]
"""Measurements, serialisable as JSON."""
Record = dict[str, Any]
"""The entry of a run in `results.json`."""


def by_variant(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Group records by variant, in order of appearance."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["variant"], []).append(record)
    return groups


def evaluated(records: Sequence[Record]) -> list[Record]:
    """Select the records of finished and evaluated runs."""
    return [record for record in records if record["evaluation"]]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"

    return [line(head), f"|{'---|' * len(head)}", *map(line, rows)]


def csv_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    table.writerows(rows)
    return text.getvalue()


def write_text(file: Path, text: str) -> None:
    """Write a text file atomically, creating its folder if missing.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(file.parent, error) from error
    with atomic_write(file, "w") as opened:
        opened.write(text)
