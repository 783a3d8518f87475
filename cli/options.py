"""Options and arguments that several commands have, and how what is typed for them is read."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from inverse_graphics.packs.pack import Pack

Number = TypeVar("Number", int, float)


def number(text: str, low: float, high: float | None = None, metavar: str = "N") -> Any:
    """A numeric option.

    Args:
        text: its help.
        low: least number allowed.
        high: greatest number allowed.
        metavar: what the help calls its value.
    """
    return typer.Option(metavar=metavar, min=low, max=high, help=text)


def named(metavar: str, text: str) -> Any:
    """An option whose value is a name, a path or a list.

    Args:
        metavar: what the help calls its value.
        text: its help.
    """
    return typer.Option(metavar=metavar, help=text)


Json = Annotated[str | None, named("FILE|-", "Write JSON to FILE, or - for stdout.")]
JsonLines = Annotated[
    str | None,
    named("FILE|-", "Write one JSON object per image and line to FILE, or - for stdout."),
]
Images = Annotated[
    list[Path], typer.Argument(metavar="IMAGE", help="Images, or folders of them.", show_default=False)
]
Model = Annotated[str | None, named("NAME|DIR", "A model's name, or the folder of a trained one.")]
RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="The name of a recipe, or a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be given again."),
]
Device = Annotated[str, named("NAME", "Where to compute: cpu, cuda or cuda:N.")]
Engine = Annotated[str, named("NAME", "The render engine; `doctor` lists them.")]
Packs = Annotated[
    list[Path] | None,
    typer.Option("--pack", metavar="DIR", help="An asset pack of your own; may be given again."),
]
ModelPacks = Annotated[
    list[Path] | None,
    typer.Option(
        "--pack", metavar="DIR", help="An asset pack in place of the model's own copy; may be given again."
    ),
]
FamilyPacks = Annotated[
    list[Path] | None,
    typer.Option(
        "--pack",
        metavar="DIR",
        help="An asset pack of your own: its objects, unless kinds are named; may be given again.",
    ),
]
Size = Annotated[str, named("WxH", "Pixels.")]
Seed = Annotated[int, number("The same seed gives the same result.", 0)]
Seeds = Annotated[str, named("N,N,…", "One run for each seed.")]
Plot = Annotated[Path | None, named("FILE", "Draw the figures into a PNG, SVG or PDF file.")]


def loaded_packs(folders: list[Path] | None) -> list[Pack]:
    """Load the packs of an option `--pack`.

    Raises:
        AssetError: one of them is no pack.
    """
    from inverse_graphics.packs.pack import load_pack

    return [load_pack(folder) for folder in folders or ()]


def parsed_numbers(
    text: str, option: str, kind: type[Number], low: float, high: float, expected: str
) -> list[Number]:
    """Read a list such as "0,1,2"; numbers that come again are left out.

    Args:
        text: numbers with commas between them.
        option: its name, for the message.
        kind: int or float.
        low: least number allowed.
        high: greatest number allowed.
        expected: for the message.

    Raises:
        BadParameter: the text is no such list.
    """
    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(low <= number <= high for number in numbers):
        raise typer.BadParameter(f"got {text!r}, expected {expected}", param_hint=option)
    return list(dict.fromkeys(numbers))


def parsed_seeds(text: str) -> list[int]:
    """Read the seeds in a list such as "0,1,2".

    Raises:
        BadParameter: the text is no such list.
    """
    return parsed_numbers(text, "--seeds", int, 0, math.inf, "whole numbers such as 0,1,2")


def parsed_names(text: str) -> list[str]:
    """Read the names in a list such as "air,dair"."""
    return [name.strip() for name in text.split(",")]


def parsed_size(text: str) -> tuple[int, int]:
    """Turn "640x480" into (640, 480), width and height.

    Raises:
        BadParameter: the text is no such size.
    """
    parts = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text)
    if parts is None or not all(1 <= int(side) <= 4096 for side in parts.groups()):
        raise typer.BadParameter(f"got {text!r}, expected WIDTHxHEIGHT, each 1 to 4096", param_hint="--size")
    return int(parts[1]), int(parts[2])
