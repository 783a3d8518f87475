"""Makes the meshes of the shipped packs: `python -m inverse_graphics.assets.generate_packs [FOLDER]`.

Output is deterministic. Lengths are in metres, colours are sRGB values divided by 255. GLB files are Y up,
as the standard requires and the manifests state.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from trimesh.exchange.gltf import export_glb
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial

from .shapes import Array, Colour, Solid, Stroke, arc, lathe, sweep, together

SEGMENTS = 32
WHITE: Colour = (0.94, 0.92, 0.87)
CLAY: Colour = (0.72, 0.52, 0.38)


def plate() -> Solid:
    """A dinner plate, 26 cm across: flat well, rising flange, foot ring, blue rim."""
    blue = (0.13, 0.27, 0.52)
    foot = [(0.0, 0.003), (0.070, 0.003), (0.072, 0.0), (0.078, 0.0)]
    rim = arc((0.1285, 0.0215), 0.0015, -45, 135, 4)
    return lathe(
        [
            Stroke(CLAY, foot),
            Stroke(WHITE, [(0.081, 0.0025), rim[0]]),
            Stroke(blue, [*rim[1:], (0.1145, 0.0181)]),
            Stroke(WHITE, [(0.094, 0.012), (0.086, 0.0078), (0.078, 0.006), (0.0, 0.006)]),
        ],
        SEGMENTS,
    )


def bowl() -> Solid:
    """A cereal bowl, 15 cm across and 6.5 cm high: celadon outside, cream inside, brown rim."""
    celadon, brown = (0.36, 0.58, 0.50), (0.38, 0.23, 0.14)
    outside = [(0.0425, 0.006), (0.056, 0.0165), (0.0665, 0.0325), (0.0725, 0.050), (0.0743, 0.059)]
    inside = [(0.0690, 0.050), (0.0630, 0.0335), (0.0525, 0.0185), (0.038, 0.0105), (0.0, 0.008)]
    return lathe(
        [
            Stroke(CLAY, [(0.0, 0.003), (0.030, 0.003), (0.032, 0.0), (0.037, 0.0), (0.0385, 0.004)]),
            Stroke(celadon, outside),
            Stroke(brown, [*arc((0.0731, 0.0637), 0.0018, 0, 180, 4), (0.0708, 0.060)]),
            Stroke(WHITE, inside),
        ],
        SEGMENTS,
    )


def mug() -> Solid:
    """A mug, 8.2 cm across and 9.5 cm high, with a handle along +x whose ends lie inside the wall."""
    glaze, cream = (0.76, 0.30, 0.20), WHITE
    body = lathe(
        [
            Stroke(CLAY, [(0.0, 0.003), (0.028, 0.003), (0.030, 0.0), (0.034, 0.0)]),
            Stroke(glaze, [(0.0385, 0.0035), (0.0410, 0.009), (0.0410, 0.083)]),
            Stroke(cream, [(0.0410, 0.0928), *arc((0.0388, 0.0928), 0.0022, 0, 180, 5)[1:]]),
            Stroke(cream, [(0.0366, 0.014), (0.0340, 0.0085), (0.0290, 0.0065), (0.0, 0.006)]),
        ],
        SEGMENTS,
    )
    return together(body, _mug_handle(glaze))


def _mug_handle(colour: Colour) -> Solid:
    """Half an ellipse in the plane y = 0 that leaves and meets the wall at a right angle."""
    phase = np.linspace(0.0, np.pi, 13)
    path = np.stack(
        [0.0385 + 0.031 * np.sin(phase), np.zeros_like(phase), 0.048 + 0.026 * np.cos(phase)], axis=-1
    )
    flare = 1.0 + 0.35 * np.abs(np.cos(phase)) ** 6  # thicker where it joins the wall
    half_widths = np.stack([0.0062 * flare, 0.0042 * flare], axis=-1)
    return sweep(path, half_widths, [colour] * (len(path) - 1), sides=10)


def glass() -> Solid:
    """A tumbler, 7.6 cm across and 12 cm high, with a thick bottom, in opaque sea-green glass."""
    outer, inner, bottom = (0.55, 0.78, 0.80), (0.68, 0.87, 0.88), (0.36, 0.62, 0.67)
    rim = arc((0.0368, 0.1188), 0.0012, 0, 180, 4)
    return lathe(
        [
            Stroke(bottom, [(0.0, 0.002), (0.022, 0.001), (0.024, 0.0), (0.0265, 0.0), (0.0285, 0.002)]),
            Stroke(bottom, [(0.0296, 0.014)]),
            Stroke(outer, [(0.0340, 0.070), *rim]),
            Stroke(inner, [(0.0320, 0.070), (0.0275, 0.018), (0.024, 0.0145), (0.0, 0.013)]),
        ],
        SEGMENTS,
    )


def pan() -> Solid:
    """A frying pan, 22 cm across and 4.5 cm high, with a wooden handle along +x, 38 cm in all."""
    iron, coating, steel = (0.20, 0.21, 0.23), (0.30, 0.30, 0.32), (0.66, 0.67, 0.69)
    body = lathe(
        [
            Stroke(iron, [(0.0, 0.0), (0.080, 0.0), (0.0855, 0.0025), (0.0885, 0.008), (0.1068, 0.042)]),
            Stroke(coating, arc((0.1082, 0.0428), 0.0018, -30, 150, 4)),
            Stroke(coating, [(0.0865, 0.0105), (0.0835, 0.006), (0.079, 0.004), (0.0, 0.004)]),
        ],
        SEGMENTS,
    )
    return together(body, _pan_handle(steel))


def _pan_handle(steel: Colour) -> Solid:
    """A steel shank that starts inside the wall, then a wooden grip with a rounded end."""
    wood = (0.52, 0.31, 0.17)
    along = np.array([0.1005, 0.110, 0.135, 0.1352, 0.145, 0.175, 0.215, 0.245, 0.262, 0.269, 0.2712])
    rise = 0.033 + 0.022 * np.clip((along - 0.1005) / 0.10, 0.0, 1.0) ** 0.9
    path = np.stack([along, np.zeros_like(along), rise], axis=-1)
    wide = np.array([8.0, 7.0, 6.5, 9.0, 10.5, 10.0, 11.0, 12.0, 11.0, 7.5, 3.0]) / 1000
    thick = np.array([2.2, 2.5, 3.0, 5.5, 7.0, 7.0, 7.0, 7.0, 6.2, 4.2, 1.6]) / 1000
    return sweep(path, np.stack([wide, thick], -1), [steel] * 3 + [wood] * 7, sides=12)


def cube() -> trimesh.Trimesh:
    """A red cube, 10 cm."""
    return _painted(trimesh.creation.box(extents=(0.1, 0.1, 0.1)), (0.80, 0.12, 0.10))


def sphere() -> trimesh.Trimesh:
    """A blue sphere, 10 cm across."""
    return _painted(trimesh.creation.icosphere(subdivisions=3, radius=0.05), (0.13, 0.28, 0.75))


def cylinder() -> trimesh.Trimesh:
    """A cylinder, 9 cm across and 12 cm high, with a texture that repeats six times around."""
    radius, half, sides = 0.045, 0.06, 48
    phase = np.linspace(0.0, 1.0, sides + 1)
    circle = radius * np.stack([np.cos(2 * np.pi * phase), np.sin(2 * np.pi * phase)], axis=-1)
    wall, wall_uv, wall_faces = _wall(circle, half, phase)
    top, top_uv, top_faces = _cap(circle, half, (0.25, 0.75))
    bottom, bottom_uv, bottom_faces = _cap(circle, -half, (0.75, 0.75))
    starts = [0, len(wall), len(wall) + len(top)]
    faces = np.concatenate([wall_faces, top_faces + starts[1], bottom_faces[:, ::-1] + starts[2]])
    mesh = trimesh.Trimesh(np.concatenate([wall, top, bottom]), faces, process=False)
    material = PBRMaterial(baseColorTexture=cylinder_texture(), metallicFactor=0.0, roughnessFactor=1.0)  # type: ignore[no-untyped-call]
    uv = np.concatenate([wall_uv, top_uv, bottom_uv])
    mesh.visual = TextureVisuals(uv=uv, material=material)  # type: ignore[no-untyped-call]
    return mesh


def _wall(circle: Array, half: float, phase: Array) -> tuple[Array, Array, Array]:
    """The lateral surface, mapped to the lower half of the texture."""
    low = np.column_stack([circle, np.full(len(circle), -half)])
    high = np.column_stack([circle, np.full(len(circle), half)])
    uv = np.concatenate([np.column_stack([phase, np.full_like(phase, v)]) for v in (0.01, 0.49)])
    n = len(circle)
    a = np.arange(n - 1)
    faces = np.concatenate([np.stack([a, a + 1, a + n + 1], -1), np.stack([a, a + n + 1, a + n], -1)])
    return np.concatenate([low, high]), uv, faces


def _cap(circle: Array, height: float, centre_uv: tuple[float, float]) -> tuple[Array, Array, Array]:
    """An end: a fan, mapped onto a disc in the upper half of the texture."""
    points = np.concatenate([np.zeros((1, 2)), circle[:-1]])
    vertices = np.column_stack([points, np.full(len(points), height)])
    uv = np.array(centre_uv) + points / np.abs(circle).max() * 0.23
    a = np.arange(1, len(points))
    return vertices, uv, np.stack([np.zeros_like(a), a, np.roll(a, -1)], -1)


def cylinder_texture(size: int = 192, samples: int = 4) -> Image.Image:
    """Diamonds on the lateral surface (lower half), a six-petalled flower on the top, rings on the bottom."""
    pattern = _cylinder_pattern(size * samples)
    smooth = pattern.reshape(size, samples, size, samples, 3).mean(axis=(1, 3))
    return Image.fromarray((smooth * 255).round().astype(np.uint8))


def _cylinder_pattern(size: int) -> Array:
    """(size, size, 3), v pointing up."""
    u, v = np.meshgrid((np.arange(size) + 0.5) / size, 1 - (np.arange(size) + 0.5) / size)
    cream, teal, ochre = (
        np.array([0.93, 0.88, 0.76]),
        np.array([0.08, 0.42, 0.45]),
        np.array([0.89, 0.62, 0.16]),
    )
    across, along = np.abs((u * 6) % 1 - 0.5), np.abs((v * 2 - 0.5) * 1.6)
    diamond = across + along
    mantle = np.where((diamond < 0.45)[..., None], teal, cream)
    mantle = np.where((diamond < 0.2)[..., None], ochre, mantle)
    mantle = np.where((np.abs(v * 2 - 0.5) > 0.41)[..., None], teal, mantle)
    du, dv = np.where(u < 0.5, u - 0.25, u - 0.75) / 0.23, (v - 0.75) / 0.23
    distance, angle = np.hypot(du, dv), np.arctan2(dv, du)
    petal = np.where((distance < 0.55 + 0.3 * np.cos(6 * angle))[..., None], ochre, teal)
    rings = np.where((distance * 4 % 2 < 1)[..., None], ochre, teal)
    ends = np.where((u < 0.5)[..., None], petal, rings)
    pattern: Array = np.where((v < 0.5)[..., None], mantle, ends)
    return pattern


def _painted(mesh: trimesh.Trimesh, colour: Colour) -> trimesh.Trimesh:
    rgba = np.array([*colour, 1.0]) * 255
    mesh.visual = ColorVisuals(
        mesh, vertex_colors=np.tile(rgba.round().astype(np.uint8), (len(mesh.vertices), 1))
    )
    return mesh


def _glazed(solid: Solid) -> trimesh.Trimesh:
    """Convert to a mesh with vertices split at colour boundaries, as GLB has no face colours."""
    colours = (solid.face_colours * 255).round().astype(np.int64)
    corners = np.column_stack([solid.faces.reshape(-1), np.repeat(colours, 3, axis=0)])
    unique, inverse = np.unique(corners, axis=0, return_inverse=True)
    mesh = trimesh.Trimesh(solid.vertices[unique[:, 0]], inverse.reshape(-1, 3), process=False)
    rgba = np.column_stack([unique[:, 1:], np.full(len(unique), 255)]).astype(np.uint8)
    mesh.visual = ColorVisuals(mesh, vertex_colors=rgba)
    return mesh


CROCKERY: dict[str, Callable[[], Solid]] = {
    "plate": plate,
    "bowl": bowl,
    "mug": mug,
    "glass": glass,
    "pan": pan,
}
PRIMITIVES: dict[str, Callable[[], trimesh.Trimesh]] = {"cube": cube, "sphere": sphere, "cylinder": cylinder}


def as_glb(mesh: trimesh.Trimesh) -> bytes:
    """Encode a mesh as binary glTF, in metres, rotated from Z up to Y up."""
    converted = mesh.copy()
    converted.vertices = mesh.vertices[:, [0, 2, 1]] * np.array([1.0, 1.0, -1.0])
    return bytes(export_glb(converted, include_normals=False))  # type: ignore[no-untyped-call]


def write_packs(folder: Path) -> None:
    """Write the meshes of both packs under `folder`, beside their manifests."""
    packs = {
        "crockery": {name: _glazed(make()) for name, make in CROCKERY.items()},
        "primitives": {name: make() for name, make in PRIMITIVES.items()},
    }
    for pack, meshes in packs.items():
        (folder / pack).mkdir(parents=True, exist_ok=True)
        for name, mesh in meshes.items():
            (folder / pack / f"{name}.glb").write_bytes(as_glb(mesh))


if __name__ == "__main__":
    write_packs(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
