"""What all families have that put kinds of objects into surroundings."""

from __future__ import annotations

from torch import Tensor

from inverse_graphics.families.kinds import Kinds
from inverse_graphics.families.surroundings import Surroundings
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.symmetry import Symmetry
from inverse_graphics.scene.batch import ObjectBatch, SceneBatch


class StagedKinds:
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
        """Side of the pictures, pixels."""
        return self.surroundings.image_size

    def scenes(
        self, objects: ObjectBatch, orbit: Tensor, light_direction: Tensor | None = None
    ) -> SceneBatch:
        """Put given objects before given cameras; differentiable in all that is real-valued."""
        return self.surroundings.scenes(objects, orbit, light_direction)
