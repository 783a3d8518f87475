"""Figures as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .streams import STDOUT, console, write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Json = Annotated[str | None, typer.Option(metavar="FILE|-", help="Write JSON to FILE, or - for stdout.")]


def report(rows: Sequence[DataclassInstance], json: str | None) -> None:
    """Print rows of figures as a table and, where asked for, as JSON."""
    from dataclasses import asdict

    records = [asdict(row) for row in rows]
    if json != STDOUT:
        print_table(records)
    if json is not None:
        write_json(json, records)


def print_table(records: Sequence[dict[str, Any]]) -> None:
    """Print records with the same keys, one a line, under their names; without columns of nothing."""
    from rich.table import Table
    from rich.text import Text

    told = (
        [name for name in records[0] if any(record[name] is not None for record in records)]
        if records
        else []
    )
    table = Table(box=None, pad_edge=False)
    for name in told:
        value = records[0][name]
        table.add_column(name.replace("_", " "), justify="left" if isinstance(value, str) else "right")
    for record in records:
        table.add_row(*(Text(_figure(record[name])) for name in told))
    console().print(table)


def _figure(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
