"""Properties of the objects in an asset pack, for display."""

from __future__ import annotations

from dataclasses import dataclass

from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.pack import Pack
from inverse_graphics.packs.symmetry import Symmetry


@dataclass(frozen=True)
class AssetFacts:
    """Properties of one object.

    Attributes:
        asset: its name, pack/object.
        pack: name of the pack.
        pack_version: version of the pack.
        licence: licence of the pack.
        vertices: number of vertices.
        faces: number of triangles.
        size_m: extent along x, y and z, metres.
        surface: a description of its texture or colours.
        symmetry: a description of its rotational symmetry.
    """

    asset: str
    pack: str
    pack_version: str
    licence: str
    vertices: int
    faces: int
    size_m: tuple[float, float, float]
    surface: str
    symmetry: str


def facts_of_pack(pack: Pack) -> list[AssetFacts]:
    """List the properties of each object in a pack, in the manifest's order.

    Raises:
        AssetError: a mesh or a symmetry is not valid.
    """
    return [facts_of_asset(pack, asset) for asset in pack.asset_names]


def facts_of_asset(pack: Pack, asset: str) -> AssetFacts:
    """Read an object's mesh and list its properties.

    Raises:
        AssetError: no such object, or its mesh or symmetry is not valid.
    """
    mesh = pack.mesh(asset)
    low, high = mesh.vertices.min(axis=0).tolist(), mesh.vertices.max(axis=0).tolist()
    x, y, z = (round(most - least, 6) for least, most in zip(low, high, strict=True))
    return AssetFacts(
        asset=f"{pack.name}/{asset.rpartition('/')[2]}",
        pack=pack.name,
        pack_version=pack.manifest.version,
        licence=pack.manifest.licence,
        vertices=len(mesh.vertices),
        faces=len(mesh.faces),
        size_m=(x, y, z),
        surface=_surface(mesh),
        symmetry=_symmetry(pack.symmetry(asset)),
    )


def _surface(mesh: Mesh) -> str:
    if mesh.texture is not None:
        return f"texture of {mesh.texture.shape[1]}×{mesh.texture.shape[0]}"
    colours = {tuple(colour) for colour in mesh.colours.round(3).tolist()}
    return "one colour" if len(colours) == 1 else "vertex colours"


def _symmetry(symmetry: Symmetry) -> str:
    if symmetry.spherical:
        return "any rotation"
    parts = ["any rotation about an axis"] if symmetry.axis is not None else []
    if len(symmetry.discrete) > 1:
        parts.append(f"{len(symmetry.discrete)} rotations")
    return ", ".join(parts) or "none"
