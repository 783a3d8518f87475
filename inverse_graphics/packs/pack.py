"""Asset packs: a folder with meshes and a manifest (`pack.yaml`), shipped or a user's own."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from inverse_graphics.errors import AssetError
from inverse_graphics.geometry.transforms import matrix_from_quaternion, matrix_from_rotation_vector
from inverse_graphics.io.documents import read_document, validated
from inverse_graphics.io.files import atomic_write
from inverse_graphics.packs.atlas import merge_parts
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.packs.mesh_file import SUFFIXES, read_mesh_file
from inverse_graphics.packs.part import ALTERNATIVE, Material, Part
from inverse_graphics.packs.surface import Floats, TriangleSoup, mesh_from_soup
from inverse_graphics.packs.symmetry import Symmetry, UnboundedGroupError, generated_group
from inverse_graphics.packs.texture import COMPANIONS, PackFolder, recorded_files, shown

MANIFEST_NAME = "pack.yaml"
METRES_PER_UNIT = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
UnitInterval = Annotated[FiniteFloat, Field(ge=0, le=1)]
Vector = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Axis = Literal["x", "y", "z"] | Vector


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DiscreteSymmetry(_Frozen):
    """A rotation that leaves the object unchanged: by 2π / `fold` about `axis`, or as a quaternion."""

    axis: Axis | None = None
    fold: Annotated[int, Field(ge=2, le=60)] | None = None
    quaternion_xyzw: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> DiscreteSymmetry:
        axis_and_fold = self.axis is not None and self.fold is not None and self.quaternion_xyzw is None
        quaternion = self.axis is None and self.fold is None and self.quaternion_xyzw is not None
        if not (axis_and_fold or quaternion):
            raise ValueError("expected either 'axis' and 'fold', or 'quaternion_xyzw'")
        if self.axis is not None and not isinstance(self.axis, str) and not any(self.axis):
            raise ValueError("axis [0, 0, 0] has no direction")
        if self.quaternion_xyzw is not None and not any(self.quaternion_xyzw):
            raise ValueError("quaternion_xyzw [0, 0, 0, 0] is no rotation")
        return self


class SymmetrySpec(_Frozen):
    """Symmetries in the object's frame after loading (Z up).

    Attributes:
        continuous: an axis about which every rotation is a symmetry, or "any" for spherical symmetry.
        discrete: generators of the group of discrete symmetries.
    """

    continuous: Literal["x", "y", "z", "any"] | Vector | None = None
    discrete: Annotated[tuple[DiscreteSymmetry, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _has_direction(self) -> SymmetrySpec:
        if isinstance(self.continuous, tuple) and not any(self.continuous):
            raise ValueError("continuous: axis [0, 0, 0] has no direction")
        return self


class ObjectSpec(_Frozen):
    """One object: its mesh file and how to read it.

    Attributes:
        mesh: a .glb, .gltf, .obj, .ply or .stl file inside the pack.
        unit: of the file's coordinates.
        up_axis: of the file's coordinates.
        colour: RGB in [0, 1] that replaces the file's own colours and textures; it multiplies `texture`.
        texture: an image inside the pack that replaces the file's own; the mesh must have texture
            coordinates.
        crease_degrees: edges whose faces differ by a larger angle stay sharp.
        symmetry: of the object.
    """

    mesh: Annotated[str, Field(min_length=1, max_length=255)]
    unit: Literal["m", "cm", "mm", "inch"]
    up_axis: Literal["x", "y", "z"]
    colour: tuple[UnitInterval, UnitInterval, UnitInterval] | None = None
    texture: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    crease_degrees: Annotated[FiniteFloat, Field(ge=0, le=180)] = 45.0
    symmetry: SymmetrySpec = SymmetrySpec()


class Manifest(_Frozen):
    """The metadata of a pack and its objects, without geometry."""

    name: Name
    version: Annotated[str, Field(min_length=1, max_length=64)]
    licence: Annotated[str, Field(min_length=1, max_length=128)]
    description: Annotated[str, Field(max_length=500)] = ""
    objects: Annotated[dict[Name, ObjectSpec], Field(min_length=1, max_length=1000)]


MAX_METRES = 1000.0
MAX_COPIED_BYTES = 256 * 2**20
_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
# columns of a file's coordinates, and their signs, that give x, y and z (up) in the object's frame
_TO_Z_UP = {"z": ((0, 1, 2), (1, 1, 1)), "y": ((0, 2, 1), (1, -1, 1)), "x": ((1, 2, 0), (1, 1, 1))}
_HASHED_SUFFIXES = (*SUFFIXES, *COMPANIONS)


@dataclass(frozen=True)
class Pack:
    """A folder of objects, each named "pack/object" outside of it.

    Attributes:
        folder: Where it is.
        manifest: What its pack.yaml states.
    """

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The pack's name, the part before the slash."""
        return self.manifest.name

    @property
    def asset_names(self) -> tuple[str, ...]:
        """All objects as "pack/object", in the manifest's order."""
        return tuple(f"{self.name}/{name}" for name in self.manifest.objects)

    def mesh(self, asset: str) -> Mesh:
        """Read one object.

        Args:
            asset: "mug" or "crockery/mug".

        Returns:
            Its mesh in metres, Z up.

        Raises:
            AssetError: No such object, or its files cannot be used; names pack, object and file.
        """
        mesh, remarks = self._read(asset)
        for remark in remarks:
            _warn_once(remark)
        return mesh

    def remarks(self, asset: str) -> tuple[str, ...]:
        """List what of an object's files is not shown as their maker meant it; `mesh` logs it as warnings.

        Args:
            asset: "mug" or "crockery/mug".

        Returns:
            Sentences that name pack, object and file.

        Raises:
            AssetError: No such object, or its files cannot be used.
        """
        return self._read(asset)[1]

    def _read(self, asset: str) -> tuple[Mesh, tuple[str, ...]]:
        name, spec = self._find(asset)
        place = f"pack '{self.name}', object '{name}', {spec.mesh}"
        try:
            mesh, remarks = _mesh(self.folder, spec)
        except AssetError as problem:
            raise AssetError(f"{place}: {problem}") from problem
        return mesh, tuple(shown(f"{place}: {remark}", 300) for remark in remarks)

    def meshes(self) -> list[tuple[str, Mesh]]:
        """Read all objects, with their full names, in the manifest's order."""
        return [(asset, self.mesh(asset)) for asset in self.asset_names]

    def library(self) -> MeshLibrary:
        """Read all objects into one library; index m is the position in `asset_names`."""
        return MeshLibrary.from_meshes(self.meshes())

    def symmetry(self, asset: str) -> Symmetry:
        """List the rotations that leave an object's appearance unchanged.

        Args:
            asset: "mug" or "crockery/mug".

        Returns:
            Its symmetry group.

        Raises:
            AssetError: No such object, or its rotations generate more than 120 others.
        """
        name, spec = self._find(asset)
        try:
            group = generated_group([_rotation(item) for item in spec.symmetry.discrete])
        except UnboundedGroupError as problem:
            raise AssetError(
                f"pack '{self.name}', object '{name}': symmetry.discrete: {problem}"
            ) from problem
        continuous = spec.symmetry.continuous
        if continuous is None or continuous == "any":
            return Symmetry(group, spherical=continuous == "any")
        return Symmetry(group, axis=_unit(continuous))

    def copy(self, folder: Path, assets: Iterable[str]) -> Pack:
        """Copy some objects, and no file that they do not need.

        Args:
            folder: That of the copy, which does not exist.
            assets: "mug" or "crockery/mug".

        Returns:
            The copy, whose objects are the same to the bit.

        Raises:
            AssetError: No such object, its files cannot be used, or all of them are larger than 256 MiB.
            StorageError: A file cannot be written.
        """
        objects = dict(self._find(asset) for asset in assets)
        with recorded_files() as read:
            for name in objects:
                self.mesh(name)
        size = sum(len(content) for content in read.values())
        if size > MAX_COPIED_BYTES:
            raise AssetError(
                f"pack '{self.name}': the files of {len(objects)} objects are {size / 2**20:.0f} MiB, more "
                f"than the {MAX_COPIED_BYTES // 2**20} that a model may hold: make textures or meshes smaller"
            )
        manifest = self.manifest.model_copy(update={"objects": objects})
        text = yaml.safe_dump(manifest.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
        for name, content in {**read, MANIFEST_NAME: text.encode()}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, "wb") as file:
                file.write(content)
        return Pack(folder, manifest)

    def content_hash(self) -> str:
        """Hash the manifest and every file that a mesh of the pack could read (SHA-256, hexadecimal).

        Models that know their pack by this hash are older than `Appearance`, which newer ones hold.
        """
        digest = hashlib.sha256()
        for path in sorted(self._hashed_files(), key=lambda path: path.relative_to(self.folder).as_posix()):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(self.folder).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    def _hashed_files(self) -> Iterable[Path]:
        yield self.folder / MANIFEST_NAME
        for path in self.folder.rglob("*"):
            if path.suffix.lower() in _HASHED_SUFFIXES and path.is_file() and not path.is_symlink():
                yield path

    def _find(self, asset: str) -> tuple[str, ObjectSpec]:
        name = asset.removeprefix(f"{self.name}/")
        if name not in self.manifest.objects:
            known = ", ".join(self.manifest.objects)
            raise AssetError(f"pack '{self.name}' has no object '{name}': it has {known}")
        return name, self.manifest.objects[name]


@cache
def _warn_once(text: str) -> None:
    """Log a warning; without a handler Python writes it to stderr."""
    logging.getLogger(__name__).warning(text)


def shipped_packs() -> tuple[str, ...]:
    """List the names of the packs that come with the package.

    Returns:
        The names, sorted.
    """
    folder = Path(str(files("inverse_graphics.assets")))
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_NAME}")))


def load_pack(path_or_name: str | Path) -> Pack:
    """Load a pack's manifest; meshes are read when they are asked for.

    Args:
        path_or_name: A shipped pack's name (see `shipped_packs`), or the folder of a pack of your own.

    Returns:
        The pack.

    Raises:
        AssetError: No such pack, or its manifest is not valid.
    """
    shipped = Path(str(files("inverse_graphics.assets")))
    known = shipped_packs()
    folder = shipped / path_or_name if str(path_or_name) in known else Path(path_or_name)
    manifest = folder / MANIFEST_NAME
    if not folder.is_dir() or not manifest.is_file():
        raise AssetError(
            f"no asset pack '{path_or_name}': expected {', '.join(known)}, or a folder with a {MANIFEST_NAME}"
        )
    return Pack(folder, validated(Manifest, read_document(manifest, AssetError), str(manifest), AssetError))


def load_library(assets: Iterable[str], packs: Sequence[Pack] = ()) -> MeshLibrary:
    """Load the meshes of some objects, each once.

    Args:
        assets: Their names, "pack/object".
        packs: Asset packs of your own; shipped ones are found by name.

    Returns:
        The meshes, in the order in which their names first occur.

    Raises:
        AssetError: An unknown pack or object, or files that cannot be used.
    """
    names = tuple(dict.fromkeys(assets))
    used = packs_of(names, packs)
    return MeshLibrary.from_meshes([(asset, used[asset.partition("/")[0]].mesh(asset)) for asset in names])


def packs_of(assets: Iterable[str], packs: Sequence[Pack] = ()) -> dict[str, Pack]:
    """Find the packs of some objects.

    Args:
        assets: Their names, "pack/object".
        packs: Asset packs of your own, which come before shipped ones of the same name.

    Returns:
        The packs by name.

    Raises:
        AssetError: An unknown pack, or two of your own have one name.
    """
    own: dict[str, Pack] = {}
    for pack in packs:
        other = own.setdefault(pack.name, pack)
        if other.folder.resolve() != pack.folder.resolve():
            raise AssetError(
                f"two packs are called '{pack.name}', {other.folder} and {pack.folder}: change 'name' in one "
                f"{MANIFEST_NAME}"
            )
    found: dict[str, Pack] = {}
    for asset in assets:
        name = asset.partition("/")[0]
        if name not in own and name not in shipped_packs():
            known = ", ".join(dict.fromkeys([*own, *shipped_packs()]))
            raise AssetError(
                f"asset '{asset}': no pack '{name}': expected 'pack/object' from {known}; a pack of your own "
                "is given by --pack, or by 'packs' in a family or recipe"
            )
        found[name] = found.get(name) or own.get(name) or load_pack(name)
    return found


def _mesh(folder: Path, spec: ObjectSpec) -> tuple[Mesh, tuple[str, ...]]:
    """An object, and what of its files is not shown as their maker meant it."""
    replaced = spec.colour is not None or spec.texture is not None
    read = read_mesh_file(folder, spec.mesh, with_materials=not replaced)
    parts = [_with_manifest_appearance(part, folder, spec) for part in read.parts] if replaced else read.parts
    try:
        surface = merge_parts(parts)
    except AssetError as problem:
        if replaced:
            raise
        raise AssetError(f"{problem}; {ALTERNATIVE}") from problem
    soup = surface.soup
    soup = TriangleSoup(_upright_metres(soup.corners, spec), soup.colours, soup.uv)
    mesh = mesh_from_soup(soup, spec.crease_degrees, surface.texture)
    if not len(mesh.faces):
        raise AssetError("the mesh has 0 faces that have an area: expected a triangle mesh")
    return mesh, (*read.remarks, *surface.remarks)


def _with_manifest_appearance(part: Part, folder: Path, spec: ObjectSpec) -> Part:
    """The part in the manifest's colour or texture; a texture is multiplied by the colour."""
    colour = spec.colour or (1.0, 1.0, 1.0)
    if spec.texture is None:
        return Part(part.corners, material=Material(colour))
    colours = np.broadcast_to(colour, part.corners.shape)
    return Part(part.corners, colours, part.uv, Material(image=PackFolder(folder).image(spec.texture)))


def _upright_metres(corners: Floats, spec: ObjectSpec) -> Floats:
    columns, signs = _TO_Z_UP[spec.up_axis]
    metres: Floats = corners[..., columns] * np.array(signs) * METRES_PER_UNIT[spec.unit]
    reach = float(np.abs(metres).max())
    if reach > MAX_METRES:
        raise AssetError(f"the mesh reaches {reach:.4g} m from its origin: is the unit '{spec.unit}' right?")
    return metres


def _rotation(item: DiscreteSymmetry) -> torch.Tensor:
    if item.axis is None or item.fold is None:
        assert item.quaternion_xyzw is not None
        return matrix_from_quaternion(torch.tensor(item.quaternion_xyzw, dtype=torch.float64))
    return matrix_from_rotation_vector(_unit(item.axis) * (2 * torch.pi / item.fold))


def _unit(axis: Axis) -> torch.Tensor:
    vector = torch.tensor(_AXES[axis] if isinstance(axis, str) else axis, dtype=torch.float64)
    return vector / vector.norm()
