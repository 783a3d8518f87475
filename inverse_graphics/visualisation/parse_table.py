"""Parses as a table of one line each, which grows as they come."""

from __future__ import annotations

from collections.abc import Sequence

from inverse_graphics.inference.parse import Parse, ParsedObject
from inverse_graphics.visualisation.svg import share

LONGEST_NAME = 48
OBJECTS = "objects: x, y, width, height in pixels; place in metres"


class ParseLines:
    """Lines whose columns stand below each other.

    Args:
        names: of all images that will come.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._width = min(max((5, *map(len, names))), LONGEST_NAME)

    def header(self) -> str:
        """The columns' names."""
        name = f"{'image':{self._width}}"
        return f"{name}  count  probability  log-likelihood  {OBJECTS}"

    def line(self, parse: Parse) -> str:
        """One image: its count, how certain that is, how well it is explained, and its objects."""
        name = _shortened(parse.image, self._width)
        objects = "  ".join(map(_object, parse.objects))
        warning = f"  ! {parse.warning}" if parse.warning else ""
        certainty = share(parse.count_probabilities[parse.count])
        return (
            f"{name:{self._width}}  {parse.count:>5}  {certainty:>11}  {parse.log_likelihood:>14,.1f}  "
            f"{objects}{warning}"
        ).rstrip()


class SearchLines:
    """The same of scenes that were searched, which have no probabilities."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = min(max((5, *map(len, names))), LONGEST_NAME)

    def header(self) -> str:
        """The columns' names."""
        return f"{'image':{self._width}}  count  log-likelihood  seconds  {OBJECTS}"

    def line(self, parse: Parse, seconds: float) -> str:
        """One image: its count, how well it is explained, how long that took, and its objects."""
        objects = "  ".join(map(_object, parse.objects))
        name = f"{_shortened(parse.image, self._width):{self._width}}"
        explained = f"{parse.log_likelihood:>14,.1f}"
        return f"{name}  {parse.count:>5}  {explained}  {seconds:>7.1f}  {objects}".rstrip()


def _object(found: ParsedObject) -> str:
    box = ", ".join(f"{side:.0f}" for side in found.box_px)
    name = "" if found.identity is None else f"{found.identity} "
    certainty = "" if found.identity_probability is None else f"{share(found.identity_probability)} "
    place = (
        "" if found.position_m is None else f" at {', '.join(f'{axis:.3f}' for axis in found.position_m)} m"
    )
    return f"{name}{certainty}[{box}]{place}"


def _shortened(name: str, width: int) -> str:
    """Cut the front of a name, since names of files differ at their end."""
    name = "".join(character if character.isprintable() else "?" for character in name)
    return name if len(name) <= width else "..." + name[3 - width :]
