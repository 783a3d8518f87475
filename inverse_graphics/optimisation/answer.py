"""The result of a search as a `Parse`, the type that parsers return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.geometry.transforms import invert, rigid_transform
from inverse_graphics.inference.air3d_reader import Extents
from inverse_graphics.inference.image_resize import ImageResize, scene_camera, visible_box
from inverse_graphics.inference.parse import Matrix, Parse, ParsedCamera, ParsedObject
from inverse_graphics.models.air3d.scene_latents import visible_orientations
from inverse_graphics.optimisation.search import SceneSearch
from inverse_graphics.optimisation.trace import Explanations
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Scene


@dataclass(frozen=True)
class Answers:
    """Converts optimised scenes to parses.

    A search gives one scene and no probabilities: the probability of its count is 1, and kinds have none.
    """

    name: str
    search: SceneSearch

    @torch.no_grad()
    def parse(self, found: Explanations, image: str, model_image: Tensor, resize: ImageResize) -> Parse:
        """Convert the best scene of the first image.

        Args:
            found: the best scene of each image.
            image: name of the image.
            model_image: (3, S, S), the image at the search's resolution.
            resize: from the image to `model_image`.
        """
        space = self.search.space
        scenes = visible_orientations(found.scenes, space)
        batch = space.scene(scenes)
        at_model_size = batch.scene(0, space.family.library)
        camera = ParsedCamera(
            resize.intrinsics_in_image(at_model_size.camera.K), _rows(batch.camera.T_world_camera[0])
        )
        count, prefixes = int(scenes.counts[0]), self._prefixes(batch)
        return Parse(
            image=image,
            model=self.name,
            count=count,
            count_probabilities=tuple(float(n == count) for n in range(scenes.asset.shape[1] + 1)),
            log_likelihood=float(found.log_likelihood[0]),
            warning=None,
            objects=self._objects(batch, at_model_size, resize),
            camera=camera,
            observation=model_image.permute(1, 2, 0).cpu().numpy(),
            reconstruction=prefixes[count],
            prefixes=prefixes[: count + 1],
            scene=at_model_size.model_copy(update={"camera": scene_camera(camera, resize)}),
        )

    def _prefixes(self, batch: SceneBatch) -> NDArray[np.float32]:
        slots = torch.arange(batch.objects.asset.shape[1], device=batch.objects.asset.device)
        drawn = []
        for count in range(len(slots) + 1):
            objects = batch.objects.replace(asset=batch.objects.asset.where(slots < count, -1))
            drawn.append(render(batch.replace(objects=objects), self.search.engine).image[0])
        return torch.stack(drawn).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()

    def _objects(
        self, batch: SceneBatch, at_model_size: Scene, resize: ImageResize
    ) -> tuple[ParsedObject, ...]:
        objects = batch.objects
        boxes = (
            Extents(self.search.space.family.library.to(objects.position.device))
            .boxes(objects, batch.camera)[0]
            .tolist()
        )
        poses = rigid_transform(objects.rotation, objects.position)
        seen = (invert(batch.camera.T_world_camera)[:, None] @ poses)[0]
        return tuple(
            ParsedObject(
                box_px=visible_box(boxes[slot], resize),
                identity=placed.asset,
                position_m=placed.position_m,
                quaternion_xyzw=placed.quaternion_xyzw,
                T_camera_object=_rows(seen[slot]),
            )
            for slot, placed in enumerate(at_model_size.objects)
        )


def _rows(matrix: Tensor) -> Matrix:
    return tuple(tuple(row) for row in matrix.tolist())
