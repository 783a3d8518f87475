"""Building blocks of commands: groups, registration, and output of results as tables and as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from inverse_graphics.errors import ImageError

from .streams import STDOUT, console, print_error, write_json

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import DataclassInstance
    from numpy.typing import NDArray


def new_group(text: str) -> typer.Typer:
    """Make a group of commands that shows its help when called without a command."""
    return typer.Typer(
        help=text,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def add(group: typer.Typer, command: Callable[..., None], examples: str, name: str | None = None) -> None:
    """Register a command, with its docstring, paragraphs joined to single lines, as the help text."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    group.command(name, help=text, epilog=f"[bold]Examples[/bold]\n\n{examples}")(command)


def answer(value: Any, json: str | None, show: Callable[[], object]) -> None:
    """Output a command's result as JSON, if requested, and as text.

    Args:
        value: the result, serialisable as JSON.
        json: file to write JSON to; "-" for stdout, None for no JSON.
        show: prints the result as text; not called when JSON goes to stdout.
    """
    if json is not None:
        write_json(json, value)
    if json != STDOUT:
        show()


def report(rows: Sequence[DataclassInstance], json: str | None) -> None:
    """Output rows of figures as a table and as JSON.

    Args:
        rows: instances of one dataclass.
        json: see `answer`.
    """
    from dataclasses import asdict

    records = [asdict(row) for row in rows]
    answer(records, json, lambda: print_table(records))


def print_table(records: Sequence[dict[str, Any]]) -> None:
    """Print records that have the same keys as a table; columns in which every value is None are omitted."""
    from rich.table import Table
    from rich.text import Text

    first = records[0] if records else {}
    shown = [name for name in first if any(record[name] is not None for record in records)]
    table = Table(box=None, pad_edge=False)
    for name in shown:
        value = first[name]
        table.add_column(name.replace("_", " "), justify="left" if isinstance(value, str) else "right")
    for record in records:
        table.add_row(*(Text(_figure(record[name])) for name in shown))
    console().print(table)


def _figure(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


class ReadableImages:
    """Iterates over image files as (path, pixels); unreadable files are reported on stderr and skipped.

    Attributes:
        paths: the files.
        failed: number of files that could not be read so far.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths, self.failed = paths, 0

    def __iter__(self) -> Iterator[tuple[Path, NDArray[np.float32]]]:
        from inverse_graphics.io.images import read_image

        for path in self.paths:
            try:
                yield path, read_image(path)
            except ImageError as error:
                self.failed += 1
                print_error(str(error))

    def exit_if_failed(self) -> None:
        """Leave with exit status 1 if an image could not be read."""
        if self.failed:
            raise typer.Exit(1)
