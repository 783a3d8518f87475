"""What families' settings are made of: weights of counts, lists of kinds, fixed values and ranges."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from torch import Tensor

from inverse_graphics.distributions.draws import draw_uniform
from inverse_graphics.packs.pack import Pack, load_pack
from inverse_graphics.scene.numbers import Number

PackFolderName = Annotated[str, Field(min_length=1, max_length=4096)]


class FamilySettings(BaseModel):
    """Base of all families' settings: frozen, and unknown fields are refused.

    Attributes:
        description: a line about the family for people. Every family also has these fields, each with its own
            type and default: kind: the family's name, a `Literal`.  kinds: asset names of its objects.
            image_size: of its square images, pixels.
        packs: folders of asset packs of one's own that `kinds` names; in a file, relative to that file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: Annotated[str, Field(max_length=200)] = ""
    packs: Annotated[tuple[PackFolderName, ...], Field(max_length=64)] = ()

    if TYPE_CHECKING:
        kind: str
        kinds: tuple[str, ...]
        image_size: int

    @property
    @abstractmethod
    def possible_counts(self) -> tuple[int, ...]:
        """How many objects a scene may have, ascending."""

    def with_packs(self, packs: Sequence[Pack]) -> Self:
        """The same family with packs of one's own.

        Where none of its kinds comes from them, their objects take the place of its kinds.

        Args:
            packs: each takes the place of one of the same name.
        """
        if not packs:
            return self
        names = {pack.name for pack in packs}
        folders = [folder for folder in self.packs if load_pack(folder).name not in names]
        changed: dict[str, Any] = {"packs": (*folders, *(str(pack.folder.resolve()) for pack in packs))}
        if not any(kind.partition("/")[0] in names for kind in self.kinds):
            changed["kinds"] = tuple(asset for pack in packs for asset in pack.asset_names)
        return type(self).model_validate({**self.model_dump(), **changed})

    @abstractmethod
    def with_kinds(self, kinds: tuple[str, ...]) -> Self:
        """The same family with objects of other kinds, and at least one of them in every scene."""


def with_packs_beside(settings: Any, folder: Path) -> Any:
    """A family's settings as they stand in a file, with `packs`, relative to its folder, made absolute."""
    packs = settings.get("packs") if isinstance(settings, Mapping) else None
    if not isinstance(packs, list) or not all(isinstance(pack, str) for pack in packs):
        return settings  # for validation to refuse
    return {**settings, "packs": [str((folder / pack).resolve()) for pack in packs]}


def _some_count_possible(weights: tuple[float, ...]) -> tuple[float, ...]:
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not sum(weights) > 0:
        raise ValueError("expected weights that are finite and not negative, at least one of them positive")
    return weights


def _different(kinds: tuple[str, ...]) -> tuple[str, ...]:
    twice = [kind for kind in kinds if kinds.count(kind) > 1]
    if twice:
        raise ValueError(f"'{twice[0]}' appears twice: expected different kinds")
    return kinds


def _number_or_range(value: Any) -> Any:
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(f"got {len(value)} values, expected a number, or a range [low, high]")
        return tuple(value)
    return value


def _ascending(value: float | tuple[float, float]) -> float | tuple[float, float]:
    if isinstance(value, tuple) and not value[0] < value[1]:
        raise ValueError(f"got [{value[0]:g}, {value[1]:g}], expected low < high, or one number")
    return value


Asset = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}/[a-z0-9][a-z0-9_-]{0,63}$")]
KindNames = Annotated[tuple[Asset, ...], Field(min_length=1, max_length=256), AfterValidator(_different)]
CountWeights = Annotated[
    tuple[Number, ...], Field(min_length=2, max_length=17), AfterValidator(_some_count_possible)
]
"""Relative frequency of 0, 1, 2, … objects; they need not sum to one."""
FixedOrRange = Annotated[
    Number | tuple[Number, Number], BeforeValidator(_number_or_range), AfterValidator(_ascending)
]
"""A number, which fixes it, or the range [low, high] over which it is uniform."""


def bounds(value: float | tuple[float, float]) -> tuple[float, float]:
    """The least and the greatest value."""
    return value if isinstance(value, tuple) else (value, value)


def middle(value: float | tuple[float, float]) -> float:
    """The value halfway."""
    return sum(bounds(value)) / 2


def uniform(low: Tensor, high: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw numbers between bounds that broadcast with `shape`, in the bounds' dtype and on their device."""
    return low + (high - low) * draw_uniform(shape, generator, low)
