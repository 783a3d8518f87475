"""How commands are put together: each with its help and its examples."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import typer


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
