"""Scenes as the benchmarks draw them: objects of a pack that stand apart on a table."""

from __future__ import annotations

import math

import numpy as np

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Scene


def table_top_scenes(
    count: int, height: int, width: int, library: MeshLibrary, objects: int = 3, seed: int = 0
) -> SceneBatch:
    """Scenes with `objects` objects each, standing apart on a table, seen from around it."""
    generator = np.random.default_rng(seed)
    return SceneBatch.from_scenes(
        [_scene(generator, height, width, library, objects) for _ in range(count)], library
    )


def _scene(
    generator: np.random.Generator, height: int, width: int, library: MeshLibrary, objects: int
) -> Scene:
    kinds = generator.integers(len(library.names), size=objects)
    turn = generator.uniform(0, 2 * math.pi)
    around = turn + np.arange(objects) * 2 * math.pi / objects
    far = generator.uniform(0.12, 0.2, objects)
    yaws = generator.uniform(-180, 180, objects)
    orbit = {
        "azimuth_degrees": generator.uniform(-180, 180),
        "elevation_degrees": generator.uniform(20, 60),
        "distance_m": generator.uniform(0.9, 1.2),
    }
    return Scene.model_validate(
        {
            "camera": {"width_px": width, "height_px": height, "orbit": orbit},
            "table": {"size_m": (0.7, 0.7)},
            "objects": [
                {
                    "asset": library.names[kind],
                    "position_m": (distance * math.cos(angle), distance * math.sin(angle), 0.0),
                    "yaw_degrees": yaw,
                }
                for kind, angle, distance, yaw in zip(kinds, around, far, yaws, strict=True)
            ],
        }
    )
