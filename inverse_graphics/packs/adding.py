"""From mesh files to a pack: unit, axes, resting poses and symmetries found, large meshes reduced."""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from inverse_graphics.errors import AssetError
from inverse_graphics.io.files import atomic_folder, atomic_write
from inverse_graphics.packs.glb_file import glb_bytes
from inverse_graphics.packs.manifest_file import extended_manifest, manifest_path, new_manifest
from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.mesh_file import SUFFIXES, read_mesh_file
from inverse_graphics.packs.origin import Floats, Origin, surface_centroid
from inverse_graphics.packs.pack import (
    MAX_METRES,
    METRES_PER_UNIT,
    ObjectSpec,
    Pack,
    RestingPose,
    SymmetrySpec,
    UpAxis,
    load_mesh,
    load_pack,
    shipped_packs,
    symmetry_of,
)
from inverse_graphics.packs.part import ALTERNATIVE, Parts
from inverse_graphics.packs.reduction import reduce_faces, reduce_texture
from inverse_graphics.packs.resting_poses import (
    UPRIGHT,
    resting_poses,
    standing_axis,
    upright_probability,
)
from inverse_graphics.packs.symmetry_detection import DetectedSymmetry, detect_symmetry
from inverse_graphics.packs.texture import recorded_files, shown

Unit = Literal["m", "cm", "mm", "inch"]

MAX_MESHES = 1000
GLTF = (".glb", ".gltf")
TYPICAL_METRES = 0.15
"""The longest side of what stands on a table, by which units are guessed."""
_UNLIKELY = {"m": 0.0, "cm": 0.3, "mm": 0.0, "inch": 1.5}
"""How unlikely units of mesh files are, in nats of size."""
_GENERIC_NAMES = re.compile(
    r"(mesh|meshes|model|models|object|textured?|textured_simple|visual|scene|untitled|google_\d+k|"
    r"nontextured|tsdf|poisson|simple|base|output|export)$"
)
_PLAIN_PATH = re.compile(r"[\w.-]+(?: [\w.-]+)*(?:/[\w.-]+(?: [\w.-]+)*)*$", re.ASCII)


@dataclass(frozen=True)
class AddingOptions:
    """How meshes become objects of a pack.

    Attributes:
        unit: Of the files' coordinates; guessed from the size if None.
        up_axis: Of the files' coordinates; Y in glTF, which says so, and Z elsewhere if None.
        scale: Multiplies the size.
        origin: Where objects have their origin, see `ObjectSpec`.
        colour: Replaces the files' own colours, image values in [0, 1].
        category: The class of all of them, such as "mug".
        upright: Whether they rest upright alone.
        max_poses: Number of resting poses at most.
        max_faces: Meshes with more faces are reduced to so many.
        texture_side: Textures with a longer side are reduced to so many pixels.
        crease_degrees: Edges that bend more stay sharp.
        replace: Whether an object of the pack with the same name is replaced.
    """

    unit: Unit | None = None
    up_axis: UpAxis | None = None
    scale: float = 1.0
    origin: Origin = "base"
    colour: tuple[float, float, float] | None = None
    category: str | None = None
    upright: bool = False
    max_poses: int = 8
    max_faces: int = 4000
    texture_side: int = 1024
    crease_degrees: float = 45.0
    replace: bool = False


@dataclass(frozen=True)
class AddedObject:
    """An object that was made of a mesh file.

    Attributes:
        name: Of the object, without its pack.
        source: The mesh file.
        spec: Its entry in the manifest.
        unit_guessed: Whether the unit was guessed.
        unit: Of the file's coordinates.
        up_axis: Of the file's coordinates.
        size_m: Extent along x, y and z, metres.
        faces: Number of faces.
        faces_before: Number of faces in the file.
        upright_probability: With which it comes to rest upright.
        remarks: What should be known of it, sentences.
    """

    name: str
    source: Path
    spec: ObjectSpec
    unit_guessed: bool
    unit: Unit
    up_axis: UpAxis
    size_m: tuple[float, float, float]
    faces: int
    faces_before: int
    upright_probability: float
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Addition:
    """What `add_objects` did.

    Attributes:
        pack: With its new objects; None if there were none to add.
        added: The new objects.
        problems: One line for each mesh that could not be added.
    """

    pack: Pack | None
    added: list[AddedObject] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class MeshSource:
    """A mesh file.

    Attributes:
        root: The folder that its references may not leave.
        path: Of the file within it, with forward slashes.
    """

    root: Path
    path: str

    @property
    def file(self) -> Path:
        """The file itself."""
        return self.root / self.path


def add_objects(
    paths: Iterable[Path | str],
    folder: Path | str,
    options: AddingOptions | None = None,
    *,
    name: str | None = None,
    licence: str = "unknown",
    description: str = "",
    progress: Callable[[int], object] | None = None,
) -> Addition:
    """Make a pack of mesh files, or add them to one.

    Every object gets a folder of its own with all files that it needs, which appears as a whole. The manifest
    is written last, so that the pack can be used at any time; its comments and other entries are kept.

    Args:
        paths: Mesh files (.glb, .gltf, .obj, .ply, .stl), and folders, of which all are taken.
        folder: Of the pack, made if it is not there; its name is the pack's.
        options: How meshes become objects.
        name: Of the object, if there is one mesh; otherwise and by default made of the files' names.
        licence: Of a new pack.
        description: Of a new pack.
        progress: Called with the number of meshes done.

    Returns:
        The pack, its new objects, and what could not be added.

    Raises:
        AssetError: There are no meshes; the folder's pack is not valid, or its name is that of a shipped one.
        StorageError: A file cannot be written.
    """
    folder, options = Path(folder), options or AddingOptions()
    pack = load_pack(folder) if manifest_path(folder).is_file() else None
    pack_name = pack.name if pack else object_name(folder.resolve().name)
    if pack is None and (not pack_name or pack_name in shipped_packs()):
        raise AssetError(
            f"a pack in {folder} would be called '{pack_name}', as one that is shipped: choose another folder"
        )
    sources = mesh_sources(paths, folder)
    if name is not None and len(sources) > 1:
        raise AssetError(f"got a name and {len(sources)} meshes: expected one mesh, or no name")
    named, problems = _named_sources(sources, name)
    added = []
    with tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary)
        for done, (each, source) in enumerate(named.items(), start=1):
            try:
                _check_free(each, pack, folder, options.replace)
                added.append(_prepared(each, source, staging, options))
            except AssetError as problem:
                text = str(problem).replace(ALTERNATIVE, "or give it a colour: --colour R,G,B")
                problems.append(shown(f"{source.file}: {text}", 400))
            if progress is not None:
                progress(done)
        if added:
            specs = {one.name: one.spec for one in added}
            pack = _placed(staging, folder, pack, specs, (pack_name, licence, description))
    return Addition(pack if added else None, added, problems)


def mesh_sources(paths: Iterable[Path | str], pack_folder: Path) -> list[MeshSource]:
    """List mesh files, those in folders sorted by name; hidden ones and those of the pack are left out.

    Raises:
        AssetError: No such file or folder, a file of another kind, a folder without meshes, or too many.
    """
    found: list[MeshSource] = []
    own = pack_folder.resolve() if manifest_path(pack_folder).is_file() else None
    for path in map(Path, paths):
        if not path.exists():
            raise AssetError(f"no such file or folder: {path}")
        if path.is_dir():
            inside = [each for each in _walk(path) if own is None or own not in each.resolve().parents]
            if not inside:
                raise AssetError(
                    f"the folder {path} holds no mesh: expected files that end in {', '.join(SUFFIXES)}"
                )
            found += [MeshSource(path, each.relative_to(path).as_posix()) for each in inside]
        elif path.suffix.lower() in SUFFIXES:
            found.append(MeshSource(path.parent, path.name))
        else:
            raise AssetError(f"{path} is not a mesh: expected a file that ends in {', '.join(SUFFIXES)}")
    if not found:
        raise AssetError("no meshes were given: expected files or folders")
    unique = list({source.file.resolve(): source for source in found}.values())
    if len(unique) > MAX_MESHES:
        raise AssetError(f"got {len(unique):,} meshes: expected at most {MAX_MESHES}; make several packs")
    return unique


def object_name(text: str) -> str:
    """Make a name for a pack or an object of any text: small letters, digits, - and _, at most 64."""
    plain = re.sub(r"[^a-z0-9_-]+", "_", text.lower()).strip("_-")
    return plain[:64].rstrip("_-")


def guessed_unit(extent: float, suffix: str) -> Unit:
    """Guess the unit of a file's coordinates from the longest side of what is in it.

    Args:
        extent: Longest side of the bounding box, in the file's unit.
        suffix: Of the file; glTF is in metres by its standard, which is believed from 5 mm to 3 m.
    """
    if suffix in GLTF and 0.005 <= extent <= 3:
        return "m"

    def unlikely(unit: Unit) -> float:
        return abs(np.log(max(extent, 1e-12) * METRES_PER_UNIT[unit] / TYPICAL_METRES)) + _UNLIKELY[unit]

    units: tuple[Unit, ...] = ("m", "mm", "cm", "inch")
    return min(units, key=unlikely)


def _walk(folder: Path) -> Iterator[Path]:
    """Mesh files in a folder and its folders, sorted; links to folders are not followed."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(place) / name


def _named_sources(sources: list[MeshSource], name: str | None) -> tuple[dict[str, MeshSource], list[str]]:
    """Sources by the names of their objects, and a line for every name that several would have."""
    by_name: dict[str, list[MeshSource]] = {}
    for source in sources:
        by_name.setdefault(name or _name_of(source.file), []).append(source)
    problems = [
        shown(
            f"{len(same)} meshes would be called '{each}': "
            f"{', '.join(str(source.file) for source in same)}: rename a file, or add them one by one with "
            "a name each",
            400,
        )
        for each, same in by_name.items()
        if len(same) > 1
    ]
    return {each: same[0] for each, same in by_name.items() if len(same) == 1}, problems


def _name_of(file: Path) -> str:
    """The file's name, or that of the nearest folder around it that says more than "model"."""
    for part in (file.stem, *reversed(file.resolve().parent.parts)):
        name = object_name(part)
        if name and not _GENERIC_NAMES.match(name):
            return name
    return object_name(file.stem) or "object"


def _check_free(name: str, pack: Pack | None, folder: Path, replace: bool) -> None:
    if object_name(name) != name:
        raise AssetError(
            f"an object cannot be called '{shown(name)}': expected small letters, digits, - and _"
        )
    known = pack is not None and name in pack.manifest.objects
    if known and not replace:
        raise AssetError(f"the pack has an object '{name}' already: replace it with --replace, or rename it")
    if not known and (folder / name).exists():
        raise AssetError(f"{folder / name} is there already, and no object of the pack: rename one of them")


def _prepared(name: str, source: MeshSource, staging: Path, options: AddingOptions) -> AddedObject:
    """Write an object's files below `staging`, and find out what its manifest has to say."""
    suffix = PurePosixPath(source.path).suffix.lower()
    parts = read_mesh_file(source.root, source.path, with_materials=options.colour is None)
    extent = _extent(parts)
    unit = options.unit or guessed_unit(extent, suffix)
    if extent * METRES_PER_UNIT[unit] > MAX_METRES:
        raise AssetError(f"it is {extent * METRES_PER_UNIT[unit]:,.0f} m large: is the unit '{unit}' right?")
    up_axis = options.up_axis or ("y" if suffix in GLTF else "z")
    raw = ObjectSpec(
        mesh=source.path,
        unit=unit,
        up_axis=up_axis,
        colour=options.colour,
        crease_degrees=options.crease_degrees,
    )
    with recorded_files() as files:
        mesh, remarks = load_mesh(source.root, raw)
    spec, changes = _stored(name, mesh, raw, files, parts, staging, options)
    placement = {"scale": options.scale, "origin": options.origin, "category": options.category}
    spec = ObjectSpec.model_validate(spec.model_dump() | placement)
    final, _ = load_mesh(staging, spec)
    symmetry = detect_symmetry(final)
    axis = _vertical_axis(symmetry.about_centre)
    if options.origin == "base" and axis is not None and _vertical_axis(symmetry.symmetry) is None:
        spec = spec.model_copy(update={"origin": _base_on_axis(final, axis, staging, spec)})
        final, _ = load_mesh(staging, spec)
        symmetry = detect_symmetry(final)
        changes.append("its origin is put on its axis of symmetry, beside the centre of its base")
    poses = resting_poses(final, symmetry_of(symmetry.about_centre), options.max_poses)
    upright = upright_probability(poses)
    found = {"symmetry": symmetry.symmetry, "resting_poses": (UPRIGHT,) if options.upright else poses}
    x, y, z = (float(side) for side in np.ptp(final.vertices, axis=0))
    return AddedObject(
        name=name,
        source=source.file,
        spec=spec.model_copy(update=found),
        unit_guessed=options.unit is None and not (suffix in GLTF and unit == "m"),
        unit=unit,
        up_axis=up_axis,
        size_m=(x, y, z),
        faces=len(final.faces),
        faces_before=len(mesh.faces),
        upright_probability=upright,
        remarks=(*remarks, *changes, *_advice(symmetry, poses, up_axis)),
    )


def _vertical_axis(found: SymmetrySpec) -> Floats | None:
    """The axis of symmetries that is vertical to 5 degrees, (3,) pointing up, if there is one."""
    if found.continuous == "any":
        return np.array([0.0, 0.0, 1.0])
    given = [found.continuous, *(item.axis for item in found.discrete)]
    for axis in (symmetry_of(SymmetrySpec(continuous=each)).axis for each in given if each is not None):
        assert axis is not None
        direction: Floats = axis.numpy() * np.sign(float(axis[2]) or 1.0)
        if direction[2] > np.cos(np.radians(5)):
            return direction
    return None


def _base_on_axis(based: Mesh, axis: Floats, staging: Path, spec: ObjectSpec) -> tuple[float, float, float]:
    """Where an axis through the centroid has the lowest height, in the file's frame.

    Args:
        based: The object with its origin at its base.
        axis: (3,), unit length.
        staging: The folder of its file.
        spec: Its entry.
    """
    unmoved, _ = load_mesh(staging, spec.model_copy(update={"origin": "file"}))
    base = unmoved.vertices.min(axis=0) - based.vertices.min(axis=0)
    centre = surface_centroid(based.vertices[based.faces].astype(np.float64))
    x, y, z = (round(float(value), 6) for value in base + centre - axis * (centre[2] / axis[2]))
    return x, y, z


def _extent(parts: Parts) -> float:
    corners = np.concatenate([part.corners.reshape(-1, 3) for part in parts.parts])
    return float(np.ptp(corners, axis=0).max())


def _stored(
    name: str,
    mesh: Mesh,
    raw: ObjectSpec,
    files: Mapping[str, bytes],
    parts: Parts,
    staging: Path,
    options: AddingOptions,
) -> tuple[ObjectSpec, list[str]]:
    """Write an object's own files, or a GLB file where they are larger than needed; and say what changed."""
    changes = []
    stored = mesh
    if len(mesh.faces) > options.max_faces:
        stored = reduce_faces(mesh, options.max_faces, options.texture_side, options.crease_degrees)
        changes.append(f"its {len(mesh.faces):,} faces are reduced to {len(stored.faces):,}")
    if stored.texture is not None and max(stored.texture.shape[:2]) > options.texture_side:
        height, width = stored.texture.shape[:2]
        smaller = reduce_texture(stored.texture, options.texture_side)
        changes.append(f"its texture of {width}×{height} is reduced to {smaller.shape[1]}×{smaller.shape[0]}")
        stored = Mesh(stored.vertices, stored.faces, stored.normals, stored.colours, stored.uv, smaller)
    images = {part.material.image.name for part in parts.parts if part.material and part.material.image}
    if len(images) > 1 and options.colour is None:
        changes.append(f"its {len(images)} textures are baked into one")
    place = staging / name
    place.mkdir()
    if not changes and all(_PLAIN_PATH.match(path) for path in files):
        common = posixpath.commonpath([posixpath.dirname(path) for path in files])
        for path, content in files.items():
            target = place / posixpath.relpath(path, common or ".")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        within = posixpath.relpath(raw.mesh, common or ".")
        return raw.model_copy(update={"mesh": f"{name}/{within}"}), changes
    (place / f"{name}.glb").write_bytes(glb_bytes(stored, name))
    converted = {"mesh": f"{name}/{name}.glb", "unit": "m", "up_axis": "y", "colour": None}
    return raw.model_copy(update=converted), changes


def _advice(symmetry: DetectedSymmetry, poses: tuple[RestingPose, ...], up_axis: UpAxis) -> list[str]:
    advice = []
    if symmetry.symmetry != symmetry.about_centre and symmetry.symmetry.continuous is None:
        advice.append(
            "more rotations about its centre leave it unchanged than about its origin: origin 'centre' keeps "
            "them"
        )
    if not upright_probability(poses):
        other = standing_axis(poses, up_axis)
        hint = f": is --up-axis {other} right?" if other else ""
        advice.append(f"it does not stand with {up_axis.upper()} up{hint}")
    return advice


def _placed(
    staging: Path,
    folder: Path,
    pack: Pack | None,
    specs: Mapping[str, ObjectSpec],
    metadata: tuple[str, str, str],
) -> Pack:
    """Move objects into the pack, then its manifest."""
    if pack is None and not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder) as new:
            for name in specs:
                _copy(staging / name, new / name)
            manifest_path(new).write_text(new_manifest(*metadata, specs), encoding="utf-8")
        return load_pack(folder)
    for name in specs:
        with atomic_folder(folder / name) as new:
            _copy(staging / name, new)
    if pack is None:
        text = new_manifest(*metadata, specs)
    else:
        text = extended_manifest(manifest_path(folder).read_text(encoding="utf-8-sig"), specs)
    with atomic_write(manifest_path(folder), "w") as file:
        file.write(text)
    return load_pack(folder)


def _copy(source: Path, target: Path) -> None:
    for file in source.rglob("*"):
        if file.is_file():
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
