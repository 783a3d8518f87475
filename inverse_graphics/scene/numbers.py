"""Validated number types of scenes, with their bounds and errors that state what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

MAX_SIDE = 4096


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"got {str(value).lower()}, expected a number")
    return value


def _list_of(length: int, what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != length:
            came = f"{len(value)} values" if isinstance(value, list | tuple) else repr(value)[:60]
            raise ValueError(f"got {came}, expected {length} {what}")
        return value

    return check


def _unit(values: tuple[float, ...]) -> tuple[float, ...]:
    """Normalise a vector; a unit vector is returned bit for bit, so that files are read back exactly."""
    length = float(np.linalg.norm(values))
    if length < 1e-9:
        raise ValueError("all zero: expected a direction or a rotation")
    return values if abs(length - 1) < 1e-12 else tuple(value / length for value in values)


Number = Annotated[float, BeforeValidator(_not_bool), Field(allow_inf_nan=False)]
Metres = Annotated[Number, Field(ge=-1000, le=1000)]
Length = Annotated[Number, Field(gt=0, le=1000)]
Pixels = Annotated[int, BeforeValidator(_not_bool), Field(ge=1, le=MAX_SIDE)]
FieldOfView = Annotated[Number, Field(ge=0.1, le=179)]
_Entry = Annotated[Number, Field(ge=-1e7, le=1e7)]
_Share = Annotated[Number, Field(ge=0, le=1)]
_Strength = Annotated[Number, Field(ge=0, le=10)]

Point = Annotated[tuple[Metres, Metres, Metres], BeforeValidator(_list_of(3, "numbers [x, y, z], metres"))]
Quaternion = Annotated[
    tuple[_Entry, _Entry, _Entry, _Entry],
    BeforeValidator(_list_of(4, "numbers [x, y, z, w]")),
    AfterValidator(_unit),
]
Direction = Annotated[
    tuple[_Entry, _Entry, _Entry], BeforeValidator(_list_of(3, "numbers [x, y, z]")), AfterValidator(_unit)
]
Colour = Annotated[
    tuple[_Share, _Share, _Share], BeforeValidator(_list_of(3, "numbers [red, green, blue] from 0 to 1"))
]
Intensity = Annotated[
    tuple[_Strength, _Strength, _Strength],
    BeforeValidator(_list_of(3, "numbers [red, green, blue] from 0 to 10")),
]
_Row3 = Annotated[tuple[_Entry, _Entry, _Entry], BeforeValidator(_list_of(3, "numbers, a row"))]
_Row4 = Annotated[tuple[_Entry, _Entry, _Entry, _Entry], BeforeValidator(_list_of(4, "numbers, a row"))]
Matrix3 = Annotated[tuple[_Row3, _Row3, _Row3], BeforeValidator(_list_of(3, "rows of 3 numbers"))]
Matrix4 = Annotated[tuple[_Row4, _Row4, _Row4, _Row4], BeforeValidator(_list_of(4, "rows of 4 numbers"))]
