"""The reader of 3D models, which infer the kinds and poses of objects, and the camera's pose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from inverse_graphics.geometry.transforms import invert, quaternion_from_matrix, rigid_transform
from inverse_graphics.inference.image_resize import (
    READERS,
    ImageResize,
    NetworkReader,
    ResizedImage,
    resize_to_colour,
    scene_camera,
    visible_box,
)
from inverse_graphics.inference.parse import Matrix, Parse, ParsedCamera, ParsedObject
from inverse_graphics.models.air3d.inference import SceneReading, read_scenes, summarised
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.scene_latents import visible_orientations
from inverse_graphics.models.weights import LoadedModel
from inverse_graphics.observation.observation import Observation
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.scene.batch import CameraBatch, ObjectBatch
from inverse_graphics.scene.camera_batch import project
from inverse_graphics.scene.scene import Scene, SceneObject


class Extents:
    """The convex hulls' vertices of all kinds: (M, V, 3), padded by repeating the first vertex of each."""

    def __init__(self, library: MeshLibrary) -> None:
        first = library.first_vertex.tolist()
        hulls = [_outermost(library.vertices[a:b].cpu()) for a, b in pairwise(first)]
        most = max(map(len, hulls))
        padded = [torch.cat([hull, hull[:1].expand(most - len(hull), 3)]) for hull in hulls]
        self.vertices = torch.stack(padded).to(library.vertices)

    def boxes(self, objects: ObjectBatch, camera: CameraBatch) -> Tensor:
        """Bounding boxes of objects, without occlusion: x, y, width, height, (B, N, 4), pixels.

        The box of the projected hull is that of the silhouette, so nothing is rendered.

        Args:
            objects: N of each of B scenes, entirely in front of the camera; the boxes of empty slots are
                undefined.
            camera: B cameras.
        """
        batch, slots = objects.asset.shape
        own = self.vertices[objects.asset.clamp(min=0)] * objects.scale[..., None, None]
        placed = own @ objects.rotation.transpose(-1, -2) + objects.position[:, :, None]
        pixels = project(placed.flatten(1, 2), camera)[0].reshape(batch, slots, -1, 2)
        lower, upper = pixels.amin(2), pixels.amax(2)
        return torch.cat([lower, upper - lower], dim=-1)


def _outermost(vertices: Tensor) -> Tensor:
    """The vertices of the convex hull, or all vertices if they lie in a plane.

    Args:
        vertices: (V, 3).
    """
    try:
        return vertices[torch.from_numpy(np.sort(ConvexHull(vertices.double().numpy()).vertices)).long()]
    except QhullError:
        return vertices


class _Numbers(NamedTuple):
    """The results of a batch as nested lists, one entry per image; see `ParsedObject` and `Parse`."""

    counts: list[int]
    count_probabilities: list[list[float]]
    log_likelihoods: list[float]
    assets: list[list[int]]
    identity_probabilities: list[list[float]]
    positions: list[Any]
    quaternions: list[Any]
    T_camera_object: list[Any]
    position_stds: list[Any]
    boxes: list[Any]
    K: list[Any]
    T_world_camera: list[Any]


@READERS.register("air3d")
class Air3DReader(NetworkReader[Air3D]):
    """A `Reader` for 3D models."""

    def __init__(self, model: LoadedModel, device: torch.device) -> None:
        super().__init__(model, device)
        self.space = self.network.space
        family = self.space.family
        self.kinds = family.kinds
        self._extents = Extents(family.library.to(device))
        self._empty = _empty_scene(self.network)

    def resize(self, image: NDArray[np.float32]) -> tuple[Tensor, ImageResize]:
        """Crop to the middle square, and resize: (3, S, S)."""
        return resize_to_colour(image, self.space.family.image_size)

    def read(self, images: Sequence[ResizedImage]) -> Iterator[Parse]:
        """Parse images as one batch, in their order."""
        with torch.inference_mode():
            observation = Observation(torch.stack([image.model_image for image in images]).to(self.device))
            reading = read_scenes(self.network, observation)
            numbers, warnings = self._numbers(reading), self._warnings(observation, reading)
            prefixes = reading.prefixes.clamp(0, 1).permute(0, 1, 3, 4, 2).cpu().numpy()
        for index, (image, warning) in enumerate(zip(images, warnings, strict=True)):
            yield self._parse(image, numbers, index, warning, prefixes[index])

    def _warnings(self, observation: Observation, reading: SceneReading) -> list[str | None]:
        if self.familiarity is None:
            return [None] * len(observation)
        return self.familiarity.warnings(summarised(self.network, observation, reading))

    def _numbers(self, reading: SceneReading) -> _Numbers:
        """Compute the results of all images of a batch together."""
        scene = self.space.scene(visible_orientations(reading.scenes, self.space))
        objects, pose = scene.objects, scene.camera.T_world_camera
        T_world_object = rigid_transform(objects.rotation, objects.position)
        std = (reading.position_std.square() @ self.space.axes.square()).sqrt()
        columns = (
            reading.scenes.counts,
            reading.count_probabilities,
            reading.log_likelihood,
            objects.asset,
            reading.identity_probability,
            objects.position,
            quaternion_from_matrix(objects.rotation.double()),
            invert(pose)[:, None] @ T_world_object,
            std,
            self._extents.boxes(objects, scene.camera),
            scene.camera.K,
            pose,
        )
        return _Numbers(*(column.cpu().numpy().tolist() for column in columns))

    def _parse(
        self,
        image: ResizedImage,
        numbers: _Numbers,
        index: int,
        warning: str | None,
        prefixes: NDArray[np.float32],
    ) -> Parse:
        count = numbers.counts[index]
        camera = ParsedCamera(
            K=image.resize.intrinsics_in_image(_rows(numbers.K[index])),
            T_world_camera=_rows(numbers.T_world_camera[index]),
        )
        objects = tuple(self._object(numbers, index, slot, image.resize) for slot in range(count))
        return Parse(
            image=image.name,
            model=self.name,
            count=count,
            count_probabilities=tuple(numbers.count_probabilities[index]),
            log_likelihood=numbers.log_likelihoods[index],
            warning=warning,
            objects=objects,
            camera=camera,
            observation=image.model_image.permute(1, 2, 0).numpy(),
            reconstruction=prefixes[count],
            prefixes=prefixes[: count + 1],
            scene=self._scene(objects, camera, image.resize),
        )

    def _object(self, numbers: _Numbers, index: int, slot: int, resize: ImageResize) -> ParsedObject:
        return ParsedObject(
            box_px=visible_box(numbers.boxes[index][slot], resize),
            identity=self.kinds[numbers.assets[index][slot]],
            identity_probability=numbers.identity_probabilities[index][slot],
            position_m=tuple(numbers.positions[index][slot]),
            quaternion_xyzw=tuple(numbers.quaternions[index][slot]),
            T_camera_object=_rows(numbers.T_camera_object[index][slot]),
            position_std_m=tuple(numbers.position_stds[index][slot]),
        )

    def _scene(self, objects: Sequence[ParsedObject], camera: ParsedCamera, resize: ImageResize) -> Scene:
        """Convert a parse to a scene, with the family's light, table and background."""
        placed = [
            SceneObject.model_validate(
                {"asset": o.identity, "position_m": o.position_m, "quaternion_xyzw": o.quaternion_xyzw}
            )
            for o in objects
        ]
        return self._empty.model_copy(
            update={"camera": scene_camera(camera, resize), "objects": tuple(placed)}
        )


def _empty_scene(network: Air3D) -> Scene:
    """A scene of the family's light, table and background, without objects."""
    space = network.space
    scene = space.scene(space.without_objects(space.orbit_low[None], space.K[None]))
    return scene.scene(0, space.family.library)


def _rows(matrix: Sequence[Sequence[float]]) -> Matrix:
    return tuple(map(tuple, matrix))
