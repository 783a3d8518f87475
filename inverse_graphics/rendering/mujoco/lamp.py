"""The share of the directional light that reaches each pixel: MuJoCo's shadows.

MuJoCo renders a scene in white, lit by the directional light alone, once with shadows and once without. The
ratio is the share of the light, independent of colours; the rest of the shading is this package's.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.drawing import layer_parameters
from inverse_graphics.rendering.installation import load_mujoco
from inverse_graphics.rendering.mujoco.camera import Frame, MujocoCamera
from inverse_graphics.rendering.mujoco.gl_faces import BUFFER_PX, GlRenderer, gl_thread, tiles
from inverse_graphics.rendering.mujoco.meshes import NumberedModel, Placed
from inverse_graphics.rendering.sampled.engine import NEAR
from inverse_graphics.scene.batch import ObjectBatch, SceneBatch

Floats = NDArray[np.float64]

MAX_OBJECTS = 1000
THICKNESS_M = 0.002
MARGIN = 1.1  # of the shadow map, at whose border light leaks
CORNERS = np.array([[x, y, z] for z in (-1.0, 1.0) for x in (-1.0, 1.0) for y in (-1.0, 1.0)])
DARK = 8
"""Of 255: surfaces with less light than this without shadows are not shadowed."""


class Lamp:
    """The directional light of scenes, and the objects that cast shadows.

    Args:
        library: of meshes.
        shadow_px: side of the shadow map, which spans all objects and the table.

    Raises:
        EngineError: MuJoCo is not installed, or there is no OpenGL here.

    """

    def __init__(self, library: MeshLibrary, shadow_px: int) -> None:
        self._numbered = NumberedModel.from_library(library.to("cpu"), BUFFER_PX, shadow_px)
        self._thread = gl_thread()
        self._renderer = self._thread.run(lambda: GlRenderer(self._numbered.model, MAX_OBJECTS + 1))
        weakref.finalize(self, self._thread.run_later, self._renderer.free).atexit = False

    def reach(self, scene: SceneBatch, factor: int) -> Tensor:
        """Compute the share of the light that reaches each sample, `factor` along each side of a pixel.

        Returns:
            (B, H · factor, W · factor), in [0, 1]; 1 on the background, and on surfaces that face away.

        Raises:
            EngineError: more than a thousand objects in a scene.

        """
        if scene.objects.asset.shape[1] > MAX_OBJECTS:
            raise EngineError(f"shadows of more than {MAX_OBJECTS} objects: expected fewer in a scene")
        shape = (scene.camera.height * factor, scene.camera.width * factor)
        shares = np.ones((len(scene.background), *shape), np.float32)
        self._thread.run(lambda: self._draw(scene.to("cpu", torch.float64), factor, shares))
        return torch.from_numpy(shares)

    def _draw(self, scene: SceneBatch, factor: int, shares: NDArray[np.float32]) -> None:
        rows = _world_rows(scene)
        for index, shadow_image in enumerate(shares):
            points = self._stage(scene, index)
            if not len(points):
                continue
            middle = (points.min(axis=0) + points.max(axis=0)) / 2
            reach = MARGIN * float(np.linalg.norm(points - middle, axis=1).max())
            eye = MujocoCamera.from_projection(rows[index], _depths(rows[index], points, reach), 1.0)
            self._shine(scene.light.direction[index].numpy(), middle, reach, (eye.near + eye.far) / 2)
            for frame, tile in tiles(shadow_image, 0, 0, factor):
                bare, shaded = (self._lit(eye, frame, shadows) for shadows in (0, 1))
                seen = bare > DARK
                tile[seen] = np.minimum(shaded[seen] / bare[seen], 1)

    def _lit(self, eye: MujocoCamera, frame: Frame, shadows: int) -> Floats:
        flags, flag = self._renderer.scene.flags, load_mujoco().mjtRndFlag.mjRND_SHADOW
        flags[flag] = shadows
        return self._renderer.draw(eye, frame)[::-1, :, 0].astype(np.float64)

    def _stage(self, scene: SceneBatch, index: int) -> Floats:
        """Set a scene's objects and table in MuJoCo's scene; returns corners of their boxes, (n, 3)."""
        objects, geoms, points, count = scene.objects, self._renderer.geoms, [], 0
        for slot, asset in enumerate(objects.asset[index].tolist()):
            placed = self._numbered.placed[asset] if asset >= 0 else None
            if placed is not None:
                size = float(objects.scale[index, slot]) * placed.radius
                position = objects.position[index, slot].numpy()
                _show_white(geoms[count], placed, position, objects.rotation[index, slot].numpy() * size)
                points.append(position + size * CORNERS)
                count += 1
        sides = scene.table.size[index].numpy()
        if sides.prod() > 0:
            _show_table(geoms[count], sides)
            points.append(CORNERS[:4] * np.array([*sides / 2, 0.0]))
            count += 1
        self._renderer.scene.ngeom = count
        return np.concatenate([np.empty((0, 3)), *points])

    def _shine(self, towards: Floats, middle: Floats, reach: float, distance: float) -> None:
        """Limit the light to the points within `reach` of `middle`, for a shadow map of high resolution.

        Args:
            distance: metres; MuJoCo limits a light's range to that of the camera.
        """
        scene = self._renderer.scene
        scene.nlight = 1
        lamp = scene.lights[0]
        lamp.type = load_mujoco().mjtLightType.mjLIGHT_DIRECTIONAL
        lamp.pos[:], lamp.dir[:] = middle + distance * towards, -towards
        lamp.ambient[:], lamp.diffuse[:], lamp.specular[:] = 0, 1, 0
        lamp.attenuation[:] = (1, 0, 0)
        lamp.castshadow, lamp.headlight, lamp.texid = 1, 0, -1
        self._renderer.context.shadowClip = reach


def _world_rows(scene: SceneBatch) -> Floats:
    """`layer_parameters` of an object that is the world itself, for each scene."""
    one = scene.background.new_ones(len(scene.background), 1, 3)
    identity = torch.eye(3, dtype=one.dtype).expand(len(one), 1, 3, 3)
    world = ObjectBatch(torch.zeros(len(one), 1, dtype=torch.int64), 0 * one, identity, one[..., 0], one)
    return layer_parameters(world, scene.camera, scene.light).numpy()


def _depths(row: Floats, points: Floats, reach: float) -> Floats:
    """The range of depths of all points, metres: not behind the camera, and at least 2 · `reach` wide."""
    depth = points @ row[8:11] + row[11]
    near = max(float(depth.min()), NEAR)
    return np.array([near, max(float(depth.max()), near + 2 * reach)])


def _show_white(geom: Any, placed: Placed, position: Floats, sized: Floats) -> None:
    """Set a geom to a mesh of radius 1.

    Args:
        sized: (3, 3), a rotation times the radius of the object.
    """
    mujoco = load_mujoco()
    where = (position + sized @ placed.position, (sized @ placed.rotation).ravel())
    _begin(geom, mujoco.mjtGeom.mjGEOM_MESH, np.zeros(3), *where)
    geom.dataid = 2 * placed.number  # the odd one is its convex hull


def _show_table(geom: Any, sides: Floats) -> None:
    box, half = load_mujoco().mjtGeom.mjGEOM_BOX, THICKNESS_M / 2
    _begin(geom, box, np.array([*sides / 2, half]), np.array([0.0, 0.0, -half]), np.eye(3).ravel())


def _begin(geom: Any, kind: Any, size: Floats, position: Floats, frame: Floats) -> None:
    mujoco = load_mujoco()
    mujoco.mjv_initGeom(geom, kind, size, position, frame, np.ones(4, np.float32))
    geom.matid, geom.texcoord, geom.castshadow = -1, 0, 1
    geom.emission, geom.specular, geom.shininess, geom.reflectance = 0, 0, 0, 0
    geom.category = mujoco.mjtCatBit.mjCAT_STATIC
    geom.objtype = mujoco.mjtObj.mjOBJ_GEOM
