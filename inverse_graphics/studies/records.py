"""What is known of a study's runs as JSON holds it, grouped and written as tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from inverse_graphics.io.files import atomic_write, storage_error

Figures = dict[str, Any]
"""Measurements, as JSON holds them."""
Record = dict[str, Any]
"""All that is known of a run, as `results.json` holds it."""


def by_variant(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each variant, in the order in which variants come."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["variant"], []).append(record)
    return groups


def evaluated(records: Sequence[Record]) -> list[Record]:
    """The records of runs that are finished and have an evaluation."""
    return [record for record in records if record["evaluation"]]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown."""

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
    """Write a file whole, and make its folder if there is none.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(file.parent, error) from error
    with atomic_write(file, "w") as opened:
        opened.write(text)
