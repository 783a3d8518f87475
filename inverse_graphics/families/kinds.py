"""The kinds of objects that a family draws from, and what follows from them and the family's surroundings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from inverse_graphics.families.surroundings import Surroundings
from inverse_graphics.packs.appearance import Appearance
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import Pack, load_library, packs_of
from inverse_graphics.packs.symmetry import Symmetry
from inverse_graphics.scene.batch import CameraBatch, ObjectBatch, SceneBatch


@dataclass(frozen=True)
class Kinds:
    """Meshes and symmetries by kind, and the packs that they come from, by name."""

    library: MeshLibrary
    symmetries: tuple[Symmetry, ...]
    packs: Mapping[str, Pack]

    @classmethod
    def load(cls, assets: Sequence[str], packs: Sequence[Pack] = ()) -> Kinds:
        """Read the assets named, each once, in this order.

        Args:
            packs: the caller's own, beside the shipped ones.

        Raises:
            AssetError: an unknown pack or object, or files that cannot be used.

        """
        used = packs_of(assets, packs)
        library = load_library(assets, list(used.values()))
        symmetries = tuple(used[asset.partition("/")[0]].symmetry(asset) for asset in assets)
        return cls(library, symmetries, used)

    @cached_property
    def appearances(self) -> dict[str, Appearance]:
        """What can be seen of each kind, by asset name."""
        meshes = map(self.library.mesh, range(len(self.library.names)))
        each = zip(self.library.names, meshes, self.symmetries, strict=True)
        return {name: Appearance.of(mesh, symmetry) for name, mesh, symmetry in each}

    @property
    def packs_hash(self) -> str:
        """A hash (SHA-256, hexadecimal) of the packs' files, by which older models know them."""
        digest = hashlib.sha256()
        for name, pack in sorted(self.packs.items()):
            digest.update(f"{name}\0{pack.content_hash()}\0".encode())
        return digest.hexdigest()

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
    def packs(self) -> Mapping[str, Pack]:
        """That the kinds come from, by name."""
        return self.parts.packs

    @property
    def appearances(self) -> Mapping[str, Appearance]:
        """What can be seen of each kind, by asset name."""
        return self.parts.appearances

    @property
    def packs_hash(self) -> str:
        """Of the files of the packs that the kinds come from."""
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
