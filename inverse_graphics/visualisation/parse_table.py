"""Parses as lines of a text table, printed as they are computed."""

from __future__ import annotations

from collections.abc import Sequence

from inverse_graphics.inference.parse import Parse, ParsedObject
from inverse_graphics.visualisation.svg import share

LONGEST_NAME = 48
OBJECTS = "objects: x, y, width, height in pixels; position in metres"


class ParseLines:
    """Formats parses as aligned lines.

    Args:
        names: names of all images, which determine the column width.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._width = min(max((5, *map(len, names))), LONGEST_NAME)

    def header(self) -> str:
        """The line of column names."""
        name = f"{'image':{self._width}}"
        return f"{name}  count  probability  log-likelihood  {OBJECTS}"

    def line(self, parse: Parse) -> str:
        """One image: count, its probability, log-likelihood, and objects."""
        name = _shortened(parse.image, self._width)
        objects = "  ".join(map(_object, parse.objects))
        warning = f"  ! {parse.warning}" if parse.warning else ""
        certainty = share(parse.count_probabilities[parse.count])
        return (
            f"{name:{self._width}}  {parse.count:>5}  {certainty:>11}  {parse.log_likelihood:>14,.1f}  "
            f"{objects}{warning}"
        ).rstrip()


class SearchLines:
    """Formats search results as aligned lines; they have no count probabilities."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = min(max((5, *map(len, names))), LONGEST_NAME)

    def header(self) -> str:
        """The line of column names."""
        return f"{'image':{self._width}}  count  log-likelihood  seconds  {OBJECTS}"

    def line(self, parse: Parse, seconds: float) -> str:
        """One image: count, log-likelihood, search time, and objects."""
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
    """Truncate a name at its start, since file names differ at their end."""
    name = "".join(character if character.isprintable() else "?" for character in name)
    return name if len(name) <= width else "..." + name[3 - width :]
