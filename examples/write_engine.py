"""Write a render engine, compare it with another, and check it.  Usage: write_engine.py FOLDER"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import inverse_graphics as ig
from inverse_graphics.rendering.conformance import CHECKS, Tolerance
from inverse_graphics.rendering.sampled.engine import SampledEngine
from inverse_graphics.rendering.sampled.windows import Windows


class BruteForce:
    """Finds the face that each ray meets first by trying every face; `SampledEngine` does the rest."""

    def __init__(self, library: ig.MeshLibrary) -> None:
        self.library = library
        self.corners = library.vertices.double().numpy()[library.faces.numpy()]  # (F, 3, 3)

    def find(self, windows: Windows) -> NDArray[np.int32]:
        """The face that each ray meets first, −1 where none: (n,)."""
        rays = windows.rays().astype(np.float64)  # origin and direction, in the frame of the ray's mesh
        faces = np.full(len(rays), -1, np.int32)
        for layer in np.flatnonzero(windows.box[:, 2]):
            mesh, (start, stop) = windows.mesh[layer], windows.first[layer : layer + 2]
            first, last = self.library.first_face[mesh : mesh + 2].tolist()
            corners = self.corners[first:last] - rays[start, :3]  # the rays of a window have one origin
            for block in range(start, stop, 4096):
                part = slice(block, min(block + 4096, stop))
                found = nearest(corners, rays[part, 3:])
                faces[part] = np.where(found < 0, -1, found + first)
        return faces


def nearest(corners: NDArray[np.float64], rays: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which of the triangles (F, 3, 3) each ray (n, 3) from the origin meets first, −1 where none."""
    sides = [rays @ np.cross(corners[:, n], corners[:, (n + 1) % 3]).T for n in range(3)]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inside = (np.minimum.reduce(sides) >= 0) | (np.maximum.reduce(sides) <= 0)  # seen from either side
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (corners[:, 0] * normal).sum(1) / (rays @ normal.T)
    distance = np.where(inside & (distance > 0), distance, np.inf)
    return np.where(np.isfinite(distance.min(1)), distance.argmin(1), -1)


def brute_force(library: ig.MeshLibrary) -> ig.RenderEngine:
    """Build the engine over a library of meshes."""
    return SampledEngine("brute-force", BruteForce(library))


out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
own, other = (ig.render("primitives", engine, size=(96, 72)) for engine in (brute_force, "embedded"))
own.save(out / "brute_force.png")
print(f"mean difference from the embedded engine: {np.abs(own.image - other.image).mean():.5f}")
for check in CHECKS:
    check(brute_force, Tolerance(depth=5e-3))  # raises AssertionError with what it found and expected
    print("passed:", check.__name__)
