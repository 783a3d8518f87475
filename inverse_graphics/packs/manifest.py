"""The manifest of an asset pack, `pack.yaml`: what is in it, in which unit, and which way is up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

MANIFEST_NAME = "pack.yaml"
METRES_PER_UNIT = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
UnitInterval = Annotated[FiniteFloat, Field(ge=0, le=1)]
Vector = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Axis = Literal["x", "y", "z"] | Vector


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DiscreteSymmetry(_Frozen):
    """A rotation that changes nothing: `fold` turns about `axis` make a full one, or a quaternion."""

    axis: Axis | None = None
    fold: Annotated[int, Field(ge=2, le=60)] | None = None
    quaternion_xyzw: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> DiscreteSymmetry:
        turns = self.axis is not None and self.fold is not None and self.quaternion_xyzw is None
        quaternion = self.axis is None and self.fold is None and self.quaternion_xyzw is not None
        if not (turns or quaternion):
            raise ValueError("expected either 'axis' and 'fold', or 'quaternion_xyzw'")
        if self.axis is not None and not isinstance(self.axis, str) and not any(self.axis):
            raise ValueError("axis [0, 0, 0] has no direction")
        if self.quaternion_xyzw is not None and not any(self.quaternion_xyzw):
            raise ValueError("quaternion_xyzw [0, 0, 0, 0] is no rotation")
        return self


class SymmetrySpec(_Frozen):
    """Symmetries in the object's frame after loading (Z up).

    continuous: an axis about which every turn looks the same, or "any" for a ball.
    discrete: rotations; with them count all their products.
    """

    continuous: Literal["x", "y", "z", "any"] | Vector | None = None
    discrete: Annotated[tuple[DiscreteSymmetry, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _has_direction(self) -> SymmetrySpec:
        if isinstance(self.continuous, tuple) and not any(self.continuous):
            raise ValueError("continuous: axis [0, 0, 0] has no direction")
        return self


class ObjectSpec(_Frozen):
    """One object: where its mesh is and how to read it.

    mesh: a .glb, .obj, .ply or .stl file inside the pack.  unit, up_axis: what the file's numbers mean.
    colour: RGB in [0, 1] that replaces the file's own.  texture: an image inside the pack that replaces the
    file's own; the mesh must have texture coordinates.  crease_degrees: edges that bend more stay sharp.
    """

    mesh: Annotated[str, Field(min_length=1, max_length=255)]
    unit: Literal["m", "cm", "mm", "inch"]
    up_axis: Literal["x", "y", "z"]
    colour: tuple[UnitInterval, UnitInterval, UnitInterval] | None = None
    texture: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    crease_degrees: Annotated[FiniteFloat, Field(ge=0, le=180)] = 45.0
    symmetry: SymmetrySpec = SymmetrySpec()


class Manifest(_Frozen):
    """All of a pack that is not geometry."""

    name: Name
    version: Annotated[str, Field(min_length=1, max_length=64)]
    licence: Annotated[str, Field(min_length=1, max_length=128)]
    description: Annotated[str, Field(max_length=500)] = ""
    objects: Annotated[dict[Name, ObjectSpec], Field(min_length=1, max_length=1000)]
