"""How commands are put together: each with its help and its examples.

Figures as tables for people and as JSON for programs.

Sizes of pictures as people type them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .streams import STDOUT, console, write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def new_group(text: str) -> typer.Typer:
    """Make a group of commands that shows its help when it is called alone."""
    return typer.Typer(
        help=text,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def add(group: typer.Typer, command: Callable[..., None], examples: str, name: str | None = None) -> None:
    """Add a command; the lines of each paragraph of its docstring flow together."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    group.command(name, help=text, epilog=f"[bold]Examples[/bold]\n\n{examples}")(command)


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


def parsed_size(text: str) -> tuple[int, int]:
    """Turn "640x480" into (640, 480), width and height; anything else is wrong usage."""
    parts = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text)
    if parts is None or not all(1 <= int(side) <= 4096 for side in parts.groups()):
        raise typer.BadParameter(f"got {text!r}, expected WIDTHxHEIGHT, each 1 to 4096", param_hint="--size")
    return int(parts[1]), int(parts[2])
