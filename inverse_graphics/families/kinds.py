"""The kinds of objects that a family draws from, and what follows from them and the family's surroundings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.families.surroundings import Surroundings
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import Pack, load_library, load_pack
from inverse_graphics.packs.symmetry import Symmetry
from inverse_graphics.scene.batch import CameraBatch, ObjectBatch, SceneBatch


@dataclass(frozen=True)
class Kinds:
    """Meshes and symmetries by kind, and a hash of the packs that they come from."""

    library: MeshLibrary
    symmetries: tuple[Symmetry, ...]
    packs_hash: str

    @classmethod
    def load(cls, assets: Sequence[str], packs: Sequence[Pack] = ()) -> Kinds:
        """Read the assets named, each once, in this order.

        Args:
            packs: the caller's own, beside the shipped ones.

        Raises:
            AssetError: an unknown pack or object, or files that cannot be used.

        """
        library = load_library(assets, packs)
        used = {pack.name: pack for pack in packs}
        names = [asset.partition("/")[0] for asset in assets]
        for name in names:
            used[name] = used.get(name) or load_pack(name)
        symmetries = tuple(used[name].symmetry(asset) for name, asset in zip(names, assets, strict=True))
        digest = hashlib.sha256()
        for name in sorted(set(names)):
            digest.update(f"{name}\0{used[name].content_hash()}\0".encode())
        return cls(library, symmetries, digest.hexdigest())

    @property
    def has_yaw(self) -> Tensor:
        """(M,) bool: whether an object of each kind looks different when it is turned about z."""
        return torch.tensor([not _round(symmetry) for symmetry in self.symmetries])


def _round(symmetry: Symmetry) -> bool:
    return symmetry.spherical or (symmetry.axis is not None and abs(float(symmetry.axis[2])) > 1 - 1e-9)


class KindsInSurroundings:
    """The part of a `SceneFamily` that follows from its kinds and its surroundings."""

    parts: Kinds
    surroundings: Surroundings

    @property
    def library(self) -> MeshLibrary:
        """The kinds' meshes."""
        return self.parts.library

    @property
    def kinds(self) -> tuple[str, ...]:
        """Asset names."""
        return self.parts.library.names

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Of each kind."""
        return self.parts.symmetries

    @property
    def packs_hash(self) -> str:
        """Of the packs that the kinds come from."""
        return self.parts.packs_hash

    @property
    def image_size(self) -> int:
        """Side of the images, pixels."""
        return self.surroundings.image_size

    def cameras(self, orbit: Tensor, K: Tensor) -> CameraBatch:
        """Place cameras on orbits about the target; differentiable."""
        return self.surroundings.cameras(orbit, K)

    def scenes(
        self, objects: ObjectBatch, camera: CameraBatch, light_direction: Tensor | None = None
    ) -> SceneBatch:
        """Put given objects before given cameras; differentiable in all that is real-valued."""
        return self.surroundings.scenes(objects, camera, light_direction)
