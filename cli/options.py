"""Options and arguments shared by several commands, and parsers of their values."""

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
        text: help text.
        low: smallest allowed value.
        high: largest allowed value.
        metavar: name of the value in the help.
    """
    return typer.Option(metavar=metavar, min=low, max=high, help=text)


def named(metavar: str, text: str) -> Any:
    """An option whose value is a name, a path or a list.

    Args:
        metavar: name of the value in the help.
        text: help text.
    """
    return typer.Option(metavar=metavar, help=text)


Json = Annotated[str | None, named("FILE|-", "Write JSON to FILE, or - for stdout.")]
JsonLines = Annotated[
    str | None,
    named("FILE|-", "Write one JSON object per image and line to FILE, or - for stdout."),
]
Images = Annotated[
    list[Path], typer.Argument(metavar="IMAGE", help="Image files, or folders of images.", show_default=False)
]
Model = Annotated[str | None, named("NAME|DIR", "A shipped model's name, or a trained model's folder.")]
RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="The name of a recipe, or a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting; may be repeated."),
]
Device = Annotated[str, named("NAME", "The device: cpu, cuda or cuda:N.")]
Engine = Annotated[str, named("NAME", "The render engine; see `doctor` for a list.")]
Packs = Annotated[
    list[Path] | None,
    typer.Option("--pack", metavar="DIR", help="Folder of a custom asset pack; may be repeated."),
]
ModelPacks = Annotated[
    list[Path] | None,
    typer.Option(
        "--pack", metavar="DIR", help="Folder of an asset pack in place of the model's copy; may be repeated."
    ),
]
FamilyPacks = Annotated[
    list[Path] | None,
    typer.Option(
        "--pack",
        metavar="DIR",
        help="Folder of a custom asset pack; its objects replace kinds of no such pack; may be repeated.",
    ),
]
Size = Annotated[str, named("WxH", "Pixels.")]
Seed = Annotated[int, number("Random seed.", 0)]
Seeds = Annotated[str, named("N,N,…", "Random seeds, one run each.")]
Plot = Annotated[Path | None, named("FILE", "Write a plot to a PNG, SVG or PDF file.")]


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
    """Parse a comma-separated list of numbers such as "0,1,2"; duplicates are dropped.

    Args:
        text: the list.
        option: the option's name, for the error message.
        kind: int or float.
        low: smallest allowed value.
        high: largest allowed value.
        expected: description of valid values, for the error message.

    Raises:
        BadParameter: the text is not such a list.
    """
    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(low <= number <= high for number in numbers):
        raise typer.BadParameter(f"got {text!r}, expected {expected}", param_hint=option)
    return list(dict.fromkeys(numbers))


def parsed_seeds(text: str) -> list[int]:
    """Parse a comma-separated list of seeds such as "0,1,2".

    Raises:
        BadParameter: the text is not such a list.
    """
    return parsed_numbers(text, "--seeds", int, 0, math.inf, "whole numbers such as 0,1,2")


def parsed_names(text: str) -> list[str]:
    """Parse a comma-separated list of names such as "air,dair"."""
    return [name.strip() for name in text.split(",")]


def parsed_size(text: str) -> tuple[int, int]:
    """Parse "640x480" to (640, 480), width and height.

    Raises:
        BadParameter: the text is not such a size.
    """
    parts = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text)
    if parts is None or not all(1 <= int(side) <= 4096 for side in parts.groups()):
        raise typer.BadParameter(f"got {text!r}, expected WIDTHxHEIGHT, each 1 to 4096", param_hint="--size")
    return int(parts[1]), int(parts[2])
