"""What looks odd about a pack, all of it at once: its manifest, sizes, origins, surfaces and symmetries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from inverse_graphics.errors import AssetError
from inverse_graphics.io.documents import read_document
from inverse_graphics.packs.adding import guessed_unit
from inverse_graphics.packs.appearance import Appearance
from inverse_graphics.packs.manifest_file import manifest_path
from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.pack import (
    METRES_PER_UNIT,
    DiscreteSymmetry,
    Manifest,
    ObjectSpec,
    Pack,
    RestingPose,
    SymmetrySpec,
    load_mesh,
    load_pack,
    symmetry_of,
)
from inverse_graphics.packs.resting_poses import (
    apart_degrees,
    resting_poses,
    standing_axis,
    upright_probability,
)
from inverse_graphics.packs.surface_samples import sample_surface
from inverse_graphics.packs.symmetry import Symmetry, symmetric_angle
from inverse_graphics.packs.symmetry_detection import (
    GENERIC_DEGREES,
    UNLIKE_SHARE,
    DetectedSymmetry,
    SymmetryTest,
    detect_symmetry,
)
from inverse_graphics.packs.texture import shown

LARGE_METRES, SMALL_METRES = 1.0, 0.01
"""Longest sides that are odd for what stands on a table."""
WRONG_METRES = (0.002, 5.0)
"""Longest sides beyond which the unit must be wrong."""
MANY_FACES, LARGE_TEXTURE = 20_000, 2048
BLACK = 0.03
OPEN_SHARE = 0.003
"""Of all edges, those of one face: fewer are cracks that no image shows."""
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a pack, or looks odd.

    Attributes:
        severity: "error" if the pack or the object cannot be used as it is, "warning" if it can.
        object: Name of the object, "" for the pack.
        message: One line: what is so, and what to do.
    """

    severity: Severity
    object: str
    message: str


def check_pack(path_or_name: str | Path) -> list[Finding]:
    """Find everything that is wrong with a pack or looks odd.

    Args:
        path_or_name: A pack's folder, or the name of a shipped one.

    Returns:
        What was found: the manifest's mistakes first, then object by object, then pairs of objects. Objects
        whose entry is valid are checked whatever else is wrong.

    Raises:
        AssetError: No such pack, or its manifest is no YAML document.
    """
    folder = Path(path_or_name)
    if not manifest_path(folder).is_file():
        folder = load_pack(path_or_name).folder
    document = read_document(manifest_path(folder), AssetError)
    findings = list(_manifest_findings(document))
    valid = {
        name: spec for name, entry in _objects(document).items() if (spec := _spec(name, entry)) is not None
    }
    if not valid:
        return findings
    name = document["name"] if isinstance(document.get("name"), str) else folder.resolve().name
    manifest = Manifest.model_construct(name=name, version="", licence="", description="", objects=valid)
    pack = Pack(folder, manifest)
    appearances = {}
    for each, spec in valid.items():
        try:
            mesh, remarks = load_mesh(folder, spec)
            symmetry = pack.symmetry(each)
        except AssetError as problem:
            own = f"pack '{name}', object '{each}': "
            findings.append(Finding("error", each, f"{spec.mesh}: {str(problem).removeprefix(own)}"))
            continue
        appearances[each] = Appearance.of(mesh, symmetry)
        findings += [Finding("warning", each, remark) for remark in remarks]
        findings += [Finding(*found) for found in _object_findings(each, mesh, spec)]
    findings += [
        Finding("warning", second, f"it looks like '{first}': leave one out, or networks confuse them")
        for first, second in combinations(appearances, 2)
        if _near_duplicates(appearances[first], appearances[second])
    ]
    return findings


def _objects(document: object) -> dict[str, Any]:
    objects = document.get("objects") if isinstance(document, dict) else None
    return objects if isinstance(objects, dict) else {}


def _spec(name: str, entry: object) -> ObjectSpec | None:
    try:
        fields = {"name": "pack", "version": "1", "licence": "x", "objects": {name: entry}}
        return Manifest.model_validate(fields).objects[name]
    except ValidationError:
        return None


# what pydantic finds wrong, in the words of a manifest

_FIELDS = {
    name
    for model in (Manifest, ObjectSpec, SymmetrySpec, DiscreteSymmetry, RestingPose)
    for name in (*model.model_fields, "class")
} - {"category"}
_EXPECTED = {
    "string_pattern_mismatch": "small letters, digits, - and _, at most 64",
    "string_type": "text",
    "string_too_short": "text",
    "string_too_long": "at most {max_length} characters",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "tuple_type": "a list",
    "model_type": "a mapping of keys and values",
    "model_attributes_type": "a mapping of keys and values",
    "dict_type": "a mapping of keys and values",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
}


def _manifest_findings(document: object) -> Iterator[Finding]:
    """Every mistake in a manifest, one for each place."""
    try:
        Manifest.model_validate(document)
    except ValidationError as problem:
        places: dict[tuple[str, ...], list[tuple[str, str, object]]] = {}
        for error in problem.errors(include_url=False):
            place, value = _place(document, error["loc"])
            short = error["type"] == "missing" and isinstance(error["loc"][-1], int)
            expected = f"{int(error['loc'][-1]) + 1} numbers or more" if short else _expectation(error)
            found = ("too_short" if short else error["type"], expected, value)
            places.setdefault(place, []).append(found)
        for place, all_found in places.items():
            yield _manifest_finding(place, all_found)


def _place(document: object, location: tuple[int | str, ...]) -> tuple[tuple[str, ...], object]:
    """The part of an error's location that is in the document, and the value there."""
    place: list[str] = []
    value = document
    for key in location:
        if isinstance(value, dict) and (key in value or len(place) == len(location) - 1):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            break
        place.append(str(key))
    if location and location[-1] == "[key]":
        return tuple(map(str, location[:-1])), location[-2]
    return tuple(place), value


def _expectation(error: Any) -> str:
    text = _EXPECTED.get(error["type"])
    if text is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return text.format(**error.get("ctx", {}))


def _manifest_finding(place: tuple[str, ...], found: list[tuple[str, str, object]]) -> Finding:
    name = place[1] if len(place) > 1 and place[0] == "objects" else ""
    inside = place[2:] if name else place
    where = ".".join(inside)
    kind, expected, value = found[0]
    key = inside[-1] if inside else ""
    if kind == "missing":
        return Finding("error", name, f"'{where}' is missing: add it")
    if kind == "extra_forbidden":
        near = get_close_matches(key, _FIELDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "remove it"
        return Finding("error", name, shown(f"unknown key '{where}': {hint}", 300))
    if kind == "value_error":
        return Finding("error", name, shown(f"{where + ': ' if where else ''}{expected}", 300))
    wanted = " or ".join(dict.fromkeys(text for _, text, _ in found))
    whole = "manifest" if not name else "name" if kind == "string_pattern_mismatch" else "entry"
    came = f"{where or 'the ' + whole} is {value!r}"
    return Finding("error", name, shown(f"{shown(came, 120)}: expected {wanted}", 300))


# what is odd about one object

_Found = tuple[Severity, str, str]


def _object_findings(name: str, mesh: Mesh, spec: ObjectSpec) -> Iterator[_Found]:
    detected = detect_symmetry(mesh)
    for severity, message in (
        *_size_findings(mesh, spec),
        *_origin_findings(mesh, spec),
        *_pose_findings(mesh, spec, detected),
        *_surface_findings(mesh),
        *_symmetry_findings(mesh, spec, detected),
    ):
        yield severity, name, message


def _size_findings(mesh: Mesh, spec: ObjectSpec) -> Iterator[tuple[Severity, str]]:
    sides = np.ptp(mesh.vertices, axis=0)
    longest = float(sides.max())
    if SMALL_METRES <= longest <= LARGE_METRES:
        return
    wrong = not WRONG_METRES[0] <= longest <= WRONG_METRES[1]
    unit = guessed_unit(longest / METRES_PER_UNIT[spec.unit], "")
    hint = f"with unit {unit} it is {_size(sides / METRES_PER_UNIT[spec.unit] * METRES_PER_UNIT[unit])}"
    if unit == spec.unit:
        hint = "give it a scale"
    yield "error" if wrong else "warning", f"it is {_size(sides)}, with unit {spec.unit}: {hint}"


def _size(sides: NDArray[np.floating[Any]]) -> str:
    return " × ".join(f"{100 * side:.3g}" for side in sides.tolist()) + " cm"


def _origin_findings(mesh: Mesh, spec: ObjectSpec) -> Iterator[tuple[Severity, str]]:
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    sides = high - low
    outside = np.maximum(low, 0) + np.maximum(-high, 0)
    distance = float(np.linalg.norm(outside))
    if distance > 0.1 * sides.max():
        yield (
            "warning",
            f"its origin is {100 * distance:.3g} cm away from it: give it origin 'base' or 'centre'",
        )
        return
    if spec.origin == "centre" or spec.symmetry.continuous == "any" or len(spec.symmetry.discrete) > 1:
        return  # at the centre on purpose: symmetries other than about Z need it
    height = float(-low[2] / max(sides[2], 1e-9))
    if height > 0.05:
        yield (
            "warning",
            f"its origin is {100 * float(-low[2]):.3g} cm above its lowest point ({100 * height:.0f} % of "
            "its height): at z = 0 it is sunk into the table; give it origin 'base', or 'centre' if meant",
        )


def _pose_findings(
    mesh: Mesh, spec: ObjectSpec, detected: DetectedSymmetry
) -> Iterator[tuple[Severity, str]]:
    poses = resting_poses(mesh, symmetry_of(detected.about_centre), 32)
    upright = upright_probability(poses)
    if lying := _lying(mesh, detected):
        yield "warning", f"{lying}: is up_axis '{spec.up_axis}' right?"
    elif not upright:
        other = standing_axis(poses, spec.up_axis)
        hint = f"is up_axis '{other}' right?" if other else f"is up_axis '{spec.up_axis}' right?"
        yield "warning", f"it does not stand as it is, but topples: {hint}"
    elif upright < 0.1 and poses[0].probability > 0.5 and (other := standing_axis(poses[:1], spec.up_axis)):
        often = poses[0].probability
        yield (
            "warning",
            f"it comes to stand {100 * upright:.0f} % of the time, {100 * often:.0f} % with another axis up: "
            f"is up_axis '{other}' right?",
        )
    ups = [Rotation.from_quat(pose.quaternion_xyzw).as_matrix()[2] for pose in poses]
    group = symmetry_of(detected.about_centre)
    for number, pose in enumerate(spec.resting_poses, start=1):
        up = Rotation.from_quat(pose.quaternion_xyzw).as_matrix()[2]
        if min(apart_degrees(up, other, group) for other in ups) > 20:
            yield "warning", f"it does not rest in pose {number} of resting_poses, but topples"


def _lying(mesh: Mesh, detected: DetectedSymmetry) -> str:
    """Whether something round lies on its side, or a disc stands on its edge."""
    continuous = detected.about_centre.continuous
    if continuous is None or continuous == "any":
        return ""
    axis = symmetry_of(detected.about_centre).axis
    assert axis is not None
    direction = axis.numpy()
    if abs(direction[2]) > 0.7:
        return ""
    along = np.ptp(mesh.vertices @ direction)
    across = np.ptp(mesh.vertices[:, 2])
    return "it is round and lies on its side" if along >= across else "it is round and stands on its edge"


def _surface_findings(mesh: Mesh) -> Iterator[tuple[Severity, str]]:
    if len(mesh.faces) > MANY_FACES:
        yield "warning", f"it has {len(mesh.faces):,} faces, which is slow: add it again with fewer"
    if mesh.texture is not None and max(mesh.texture.shape[:2]) > LARGE_TEXTURE:
        height, width = mesh.texture.shape[:2]
        yield "warning", f"its texture has {width}×{height} pixels: reduce it"
    colours = sample_surface(mesh, 4000).colours
    if (dark := float((colours.max(axis=1) < BLACK).mean())) > 0.95:
        what = "texture" if mesh.texture is not None else "colour"
        yield "warning", f"{100 * dark:.0f} % of it is black: is its {what} right?"
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    solid.merge_vertices(merge_tex=True, merge_norm=True)
    counts = np.bincount(solid.edges_unique_inverse)
    alone = int((counts == 1).sum())
    if (share := alone / len(counts)) > OPEN_SHARE:
        yield (
            "warning",
            f"its surface is open: {alone:,} edges ({100 * share:.1f} %) have one face; close its holes",
        )
    if not solid.is_winding_consistent:
        yield (
            "warning",
            "some of its faces are turned the other way than their neighbours: they are shaded dark",
        )
    centre = solid.vertices.mean(axis=0)
    volume = float(
        np.einsum("fx,fx->f", solid.triangles_center - centre, solid.face_normals) @ solid.area_faces
    )
    if volume < -1e-3 * float(solid.area) * float(np.linalg.norm(solid.extents)):
        yield "error", "it is inside out: its faces are seen from behind; flip them"


def _symmetry_findings(
    mesh: Mesh, spec: ObjectSpec, detected: DetectedSymmetry
) -> Iterator[tuple[Severity, str]]:
    declared, found = symmetry_of(spec.symmetry), symmetry_of(detected.symmetry)
    test = SymmetryTest(mesh)
    for what, rotation in _declared(spec.symmetry, declared):
        share = test.unlike_share(rotation)
        moved = float(np.linalg.norm(rotation @ test.centre - test.centre))
        if share > 2.5 * UNLIKE_SHARE:
            yield (
                "error",
                f"symmetry: it looks different after {what}: {100 * share:.0f} % of its surface",
            )
        elif moved > 0.05 * test.radius:
            yield (
                "error",
                f"symmetry: {what} moves it by {100 * moved:.2g} cm: its origin is not on the axis",
            )
    if _misses(declared, found):
        fields = detected.symmetry.model_dump(mode="json", exclude_defaults=True)
        yield (
            "warning",
            f"it looks the same after rotations that its symmetry lacks: symmetry: {_yaml(fields)}",
        )


def _declared(spec: SymmetrySpec, symmetry: Symmetry) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Rotations that generate a declared group, in words, and as matrices."""
    if symmetry.spherical:
        for matrix in Rotation.random(2, rng=np.random.default_rng(0)).as_matrix():
            yield "any rotation", matrix
            return
    if symmetry.axis is not None:
        axis = symmetry.axis.numpy()
        angle = np.radians(GENERIC_DEGREES[3])
        yield f"any rotation about {spec.continuous}", Rotation.from_rotvec(axis * angle).as_matrix()
    for item in spec.discrete:
        group = symmetry_of(SymmetrySpec(discrete=(item,))).discrete
        what = f"1/{item.fold} of a rotation about {item.axis}" if item.fold else "its quaternion_xyzw"
        yield what, group[1].numpy() if len(group) > 1 else np.eye(3)


def _misses(declared: Symmetry, found: Symmetry) -> bool:
    """Whether a group lacks rotations of another."""
    if declared.spherical:
        return False
    if found.spherical:
        return True
    if found.axis is not None:
        parallel = declared.axis is not None and abs(float(declared.axis @ found.axis)) > 0.999
        if not parallel:
            return True
    angles = symmetric_angle(torch.eye(3, dtype=torch.float64), found.discrete, declared)
    return bool((angles > 0.06).any())


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return str(value)


def _near_duplicates(first: Appearance, second: Appearance) -> bool:
    """Whether two objects have nearly the same shape, size and colours."""

    def close(one: tuple[float, ...], other: tuple[float, ...], tolerance: float) -> bool:
        return len(one) == len(other) and bool(np.abs(np.subtract(one, other)).max(initial=0) <= tolerance)

    sizes = [np.subtract(each.high_m, each.low_m) for each in (first, second)]
    near = 0.02 * float(np.max(sizes))
    return (
        close(tuple(sizes[0]), tuple(sizes[1]), near)
        and close(first.spread_m, second.spread_m, near / 2)
        and abs(first.area_m2 - second.area_m2) <= 0.03 * max(first.area_m2, second.area_m2)
        and close(first.colour, second.colour, 0.03)
        and close(first.colour_spread, second.colour_spread, 0.03)
        and close(first.texture, second.texture, 0.05)
    )
