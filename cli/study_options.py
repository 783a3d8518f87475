"""What the commands of all studies read in the same way."""

from __future__ import annotations

import shlex
import sys

import typer


def seeds_of(text: str) -> list[int]:
    """The seeds in a list such as 0,1,2.

    Raises:
        BadParameter: it is no such list.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise typer.BadParameter(f"got {text!r}, expected whole numbers such as 0,1,2", param_hint="--seeds")
    return list(dict.fromkeys(int(part) for part in parts))


def typed_command() -> str:
    """What the user typed."""
    return shlex.join(["inverse-graphics", *sys.argv[1:]])
