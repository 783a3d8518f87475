"""Meshes with fewer faces, and smaller textures: colours are baked, so that they stay where they were.

Faces are reduced by quadric error metrics (Garland and Heckbert 1997), without regard to texture
coordinates. If the surface has more than one colour, every face then gets its own triangle in a new texture,
whose texels take the colour of the nearest point of the original surface. Triangles that are near each other
in space are so in the texture, where coarser levels of a mip map mix them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.surface import TriangleSoup, mesh_from_soup
from inverse_graphics.packs.surface_samples import nearest, sample_surface

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BAKED_SAMPLES = 250_000
INSET = 1.5
"""Texels between a triangle in a baked texture and the edge of its half of a square."""


def reduce_faces(mesh: Mesh, faces: int, texture_side: int, crease_degrees: float) -> Mesh:
    """Reduce a mesh to fewer faces.

    Args:
        mesh: Any mesh.
        faces: The number of faces to reduce to, at least 4; more are left where triangles are so narrow
            (2.5 degrees) that they cannot be joined.
        texture_side: Height and width of the new texture, pixels.
        crease_degrees: Edges that bend more stay sharp.

    Returns:
        A mesh of the same shape and colours, with a texture if there is more than one colour; `mesh` itself
        if it has no more faces already, or if reducing it leaves none.
    """
    if len(mesh.faces) <= faces:
        return mesh
    corners = _simplified(mesh, faces)
    if not len(corners):
        return mesh
    plain = mesh.texture is None and (mesh.colours == mesh.colours[0]).all()
    if plain:
        colours = np.broadcast_to(mesh.colours[0].astype(np.float64), corners.shape)
        return mesh_from_soup(TriangleSoup(corners, colours, None), crease_degrees, None)
    uv, texture, order = _baked(mesh, corners, texture_side)
    soup = TriangleSoup(corners[order], np.ones_like(corners), uv)
    return mesh_from_soup(soup, crease_degrees, texture)


def reduce_texture(texture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Reduce a texture (H, W, 3) until no side is longer than `side`, each texel the mean of those before."""
    smaller = max(texture.shape[:2]) / side
    if smaller <= 1:
        return texture
    height, width = (max(1, round(length / smaller)) for length in texture.shape[:2])
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(texture[..., i])).resize(
                (width, height), Image.Resampling.BOX
            )
        )
        for i in range(3)
    ]
    return np.stack(channels, axis=-1)


def _simplified(mesh: Mesh, faces: int) -> Floats:
    """Triangles (F, 3, 3) of a coarser surface."""
    import fast_simplification

    size = float(np.abs(mesh.vertices).max()) or 1.0
    _, first, index = np.unique(
        np.round(mesh.vertices / (size * 1e-6)).astype(np.int64),
        axis=0,
        return_index=True,
        return_inverse=True,
    )
    welded = index.reshape(-1)[mesh.faces]
    welded = welded[(welded != np.roll(welded, 1, axis=1)).all(axis=1)]
    # its thresholds are absolute: they suit a size of about 100, and smaller ones lose detail
    larger = 100 / size
    places = (mesh.vertices[first] * larger).astype(np.float32)
    for haste in (5, 7, 9, 12):  # the more of it, the fewer faces, and the less care
        points, triangles = fast_simplification.simplify(
            places, welded.astype(np.int32), target_count=faces, agg=haste
        )
        if len(triangles) <= 1.02 * faces:
            break
    corners = np.asarray(points, np.float64)[np.asarray(triangles, np.int64)] / larger
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return corners[area > (size * 1e-6) ** 2]


def _baked(mesh: Mesh, corners: Floats, side: int) -> tuple[Floats, NDArray[np.float32], Ints]:
    """Texture coordinates (F, 3, 2) and texture for triangles in a new order, which is given as well."""
    columns = int(np.ceil(np.sqrt((len(corners) + 1) // 2)))
    square = max(8, side // columns)
    order = _along_a_curve(corners)
    corners = corners[order]
    cell = np.arange(len(corners)) // 2
    column, row = _curve_places(columns)[cell].T
    start = np.stack([column, row], axis=1) * float(square)
    # two triangles share a square: the second is the first one rotated by half
    far = square - 2 * INSET - 1
    first = np.array([[INSET, INSET], [far, INSET], [INSET, far]])
    second = square - first
    odd = (np.arange(len(corners)) % 2).astype(bool)
    texels = start[:, None] + np.where(odd[:, None, None], second, first)
    texture = _nearest_colours(mesh, corners, texels, start, odd, square, columns)
    length = float(texture.shape[0])
    return np.stack([texels[..., 0] / length, 1 - texels[..., 1] / length], axis=-1), texture, order


def _nearest_colours(
    mesh: Mesh,
    corners: Floats,
    texels: Floats,
    start: Floats,
    odd: NDArray[np.bool_],
    square: int,
    columns: int,
) -> NDArray[np.float32]:
    """Fill the half squares of triangles with the colours of the surface nearest to them."""
    size = float(np.ptp(mesh.vertices, axis=0).max())
    samples = sample_surface(mesh, BAKED_SAMPLES)
    tree = nearest(samples, size)
    place = np.arange(square) + 0.5
    x, y = (grid.ravel() for grid in np.meshgrid(place, place))
    halves = [np.stack([x, y], axis=1)[x + y <= square], np.stack([x, y], axis=1)[x + y > square]]
    side = square * columns
    texture = np.full((side, side, 3), mesh.colours.mean(axis=0), np.float32)
    for half, chosen in zip(halves, (~odd, odd), strict=True):
        local = texels[chosen] - start[chosen, None]
        if not len(local):
            continue
        basis = np.stack([local[0, 1] - local[0, 0], local[0, 2] - local[0, 0]], axis=1)
        u, v = np.linalg.solve(basis, (half - local[0, 0]).T)
        weights = np.stack([1 - u - v, u, v], axis=1)  # outside of the triangle they extend its plane
        points = np.einsum("tc,fcx->ftx", weights, corners[chosen])
        crossed = np.cross(corners[chosen, 1] - corners[chosen, 0], corners[chosen, 2] - corners[chosen, 0])
        normals = crossed / np.linalg.norm(crossed, axis=1, keepdims=True)
        features = np.concatenate(
            [points / size, np.broadcast_to(0.1 * normals[:, None], points.shape)], axis=2
        )
        match = tree.query(features.reshape(-1, 6), eps=0.5)[1]
        pixels = (start[chosen][:, None] + half[None]).astype(np.int64).reshape(-1, 2)
        texture[pixels[:, 1], pixels[:, 0]] = samples.colours[match]
    return texture.clip(0, 1)


def _along_a_curve(corners: Floats) -> Ints:
    """An order of triangles in which neighbours are near each other, those of one facing together."""
    centres = corners.mean(axis=1)
    low, high = centres.min(axis=0), centres.max(axis=0)
    scaled = ((centres - low) / max(float((high - low).max()), 1e-12) * 1023).astype(np.int64)
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    axis = np.abs(crossed).argmax(axis=1)
    outward = np.take_along_axis(crossed, axis[:, None], axis=1)[:, 0] > 0
    code = _interleaved(scaled)
    return np.lexsort((code, outward, axis))


def _curve_places(columns: int) -> Ints:
    """Columns and rows (N, 2) of squares along a Z-order curve (Morton 1966)."""
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(columns)), axis=-1).reshape(-1, 2)
    return grid[_interleaved(grid).argsort(kind="stable")]


def _interleaved(values: Ints) -> Ints:
    """The bits of whole numbers (N, D) below 1024, interleaved."""
    dimensions = values.shape[1]
    code = np.zeros(len(values), np.int64)
    for bit in range(10):
        for axis in range(dimensions):
            code |= ((values[:, axis] >> bit) & 1) << (dimensions * bit + axis)
    return code
