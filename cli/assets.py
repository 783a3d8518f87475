"""`inverse-graphics assets add|check|list|show`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .application import add as add_command
from .application import answer, new_group
from .options import Json, named, number
from .streams import advancing, console, notify, print_error

if TYPE_CHECKING:
    from inverse_graphics.packs.adding import AddedObject
    from inverse_graphics.packs.origin import Origin
    from inverse_graphics.visualisation.asset_facts import AssetFacts

group = new_group("Asset packs: meshes of the objects in scenes.")

ADD_EXAMPLES = """\
inverse-graphics assets add scans/ --to my_pack
inverse-graphics assets add mug.obj can.stl --to my_pack --unit mm --licence CC-BY-4.0
inverse-graphics assets add duck.glb --to my_pack --scale 0.1 --origin centre --class duck
inverse-graphics assets add mug.obj --to my_pack --replace --up-axis y"""

CHECK_EXAMPLES = """\
inverse-graphics assets check my_pack
inverse-graphics assets check crockery
inverse-graphics assets check my_pack --json - | jq '.[].message'"""

LIST_EXAMPLES = """\
inverse-graphics assets list
inverse-graphics assets list --pack my_pack/
inverse-graphics assets list --json - | jq '.[].asset'"""

SHOW_EXAMPLES = """\
inverse-graphics assets show crockery/mug
inverse-graphics assets show my_pack/mug -o mug.gif
inverse-graphics assets show my_pack/mug -o mug.png
inverse-graphics assets show mug --pack my_pack/ --json -"""

CONTACT_SHEET = "contact_sheet.png"
THUMBNAILS = "thumbnails"

Pack = Annotated[str | None, named("NAME|DIR", "A shipped pack's name, or a pack's folder.")]


def add(
    meshes: Annotated[
        list[Path],
        typer.Argument(
            metavar="MESH", help="Mesh files (GLB, glTF, OBJ, PLY, STL), or folders.", show_default=False
        ),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The pack's folder; made if need be.")],
    unit: Annotated[
        Literal["m", "cm", "mm", "inch"] | None,
        typer.Option(help="Unit of the files' coordinates; guessed from the size by default."),
    ] = None,
    up_axis: Annotated[
        Literal["x", "y", "z"] | None,
        typer.Option(help="Axis of the files that points up; y in glTF and z elsewhere by default."),
    ] = None,
    scale: Annotated[float, number("Multiplies the size.", 1e-6, 1e6, "FACTOR")] = 1.0,
    origin: Annotated[
        str,
        named(
            "base|centre|file|X,Y,Z",
            "Origin of the objects; a point is in metres, Z up, in the file's frame.",
        ),
    ] = "base",
    upright: Annotated[bool, typer.Option("--upright", help="They rest upright alone.")] = False,
    poses: Annotated[int, number("Most resting poses of an object.", 1, 32)] = 8,
    faces: Annotated[int, number("Meshes with more faces are reduced to N.", 100, 200_000)] = 4000,
    texture: Annotated[int, number("Larger textures are reduced to N pixels a side.", 16, 4096)] = 1024,
    colour: Annotated[str | None, named("R,G,B", "Colour in place of the files' own, 0 to 1.")] = None,
    category: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Class of the objects, such as mug.")
    ] = None,
    name: Annotated[str | None, named("NAME", "Name of the object, if it is one mesh.")] = None,
    licence: Annotated[str, named("NAME", "Licence of a new pack.")] = "unknown",
    replace: Annotated[bool, typer.Option("--replace", help="Replace objects of the same name.")] = False,
    json: Json = None,
) -> None:
    """Make a pack of mesh files, or add them to one.

    Finds each mesh's unit, resting poses and symmetries, reduces large ones, bakes several textures into one,
    and copies what is needed. Draws a contact sheet with rulers, and thumbnails, in the pack's folder.

    Meshes that cannot be used are reported, the others added, and the exit status is 1.
    """
    from inverse_graphics.packs.adding import AddingOptions, add_objects, mesh_sources
    from inverse_graphics.visualisation.asset_pictures import write_contact_sheet

    options = AddingOptions(
        unit=unit,
        up_axis=up_axis,
        scale=scale,
        origin=_parsed_origin(origin),
        colour=None if colour is None else _parsed_three(colour, "--colour", 0, 1),
        category=category,
        upright=upright,
        max_poses=poses,
        max_faces=faces,
        texture_side=texture,
        replace=replace,
    )
    with advancing("meshes", len(mesh_sources(meshes, to))) as progress:
        done = add_objects(meshes, to, options, name=name, licence=licence, progress=progress)
    for problem in done.problems:
        print_error(problem)
    if done.pack is not None:
        sheet = to / CONTACT_SHEET
        write_contact_sheet(done.pack, sheet, to / THUMBNAILS)
        notify(f"wrote {done.pack.folder}, licence {done.pack.manifest.licence}, and {sheet}")
    answer([_added_record(one) for one in done.added], json, lambda: _show_added(done.added))
    if done.pack is not None:
        notify(f"see what looks odd: inverse-graphics assets check {to}")
    if done.problems:
        raise typer.Exit(1)


def check(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="A pack's folder, or a shipped pack's name.")],
    json: Json = None,
) -> None:
    """Find everything that is wrong with a pack or looks odd, one line each.

    Mistakes in the manifest, missing files, odd sizes and origins, objects on their side, open or inside-out
    meshes, black or large textures, objects that look alike, and symmetries that are wrong or not stated. The
    exit status is 1 if there is an error, and 0 if there are warnings alone.
    """
    from dataclasses import asdict

    from inverse_graphics.packs.checking import check_pack

    findings = check_pack(pack)

    def show() -> None:
        for finding in findings:
            place = f"{finding.object}: " if finding.object else ""
            console().print(f"{finding.severity}: {place}{finding.message}", markup=False)
        errors = sum(finding.severity == "error" for finding in findings)
        notify(f"{pack}: {errors} errors, {len(findings) - errors} warnings")

    answer([asdict(finding) for finding in findings], json, show)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def list_assets(pack: Pack = None, json: Json = None) -> None:
    """List the objects of all shipped packs, or of one pack.

    Every mesh is read and validated, so this command also checks a custom pack.
    """
    from dataclasses import asdict

    from rich.table import Table

    from inverse_graphics.packs.pack import load_pack, shipped_packs
    from inverse_graphics.visualisation.asset_facts import facts_of_pack

    packs = [load_pack(name) for name in ([pack] if pack else shipped_packs())]
    facts = [fact for loaded in packs for fact in facts_of_pack(loaded)]

    def show() -> None:
        table = Table("asset", "faces", "size in cm", "surface", "symmetry", box=None, pad_edge=False)
        for fact in facts:
            table.add_row(fact.asset, f"{fact.faces:,}", _centimetres(fact), fact.surface, fact.symmetry)
        console().print(table)

    answer([asdict(fact) for fact in facts], json, show)


def show(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help='Such as "crockery/mug", or a pack\'s folder and "/mug".')
    ],
    pack: Pack = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Draw a turntable and the resting poses: GIF or WebP, or a sheet of views as PNG or JPEG.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Show an object's size, number of faces, surface, symmetry and licence, and draw it from all around."""
    from dataclasses import asdict

    from rich.table import Table

    from inverse_graphics.packs.pack import load_pack
    from inverse_graphics.visualisation.asset_facts import facts_of_asset
    from inverse_graphics.visualisation.asset_pictures import write_turntable

    folder, _, name = asset.rpartition("/")
    loaded = load_pack(pack or folder or asset)
    facts = facts_of_asset(loaded, name if not pack else asset)
    if out is not None:
        write_turntable(loaded, name, out)
        notify(f"wrote {out}")

    def show() -> None:
        table = Table.grid(padding=(0, 2))
        rows = {**asdict(facts), "size_m": _centimetres(facts) + " cm"}
        for name, value in rows.items():
            table.add_row(name.replace("_m", "").replace("_", " "), str(value))
        console().print(table)

    answer(asdict(facts), json, show)


def _centimetres(facts: AssetFacts) -> str:
    return " x ".join(f"{100 * side:.1f}" for side in facts.size_m)


def _parsed_origin(text: str) -> Origin:
    if text in ("base", "centre", "file"):
        return text  # type: ignore[return-value]
    return _parsed_three(text, "--origin", -1000, 1000)


def _parsed_three(text: str, option: str, low: float, high: float) -> tuple[float, float, float]:
    numbers = re.split(r"[\s,]+", text.strip())
    try:
        x, y, z = (float(value) for value in numbers)
    except ValueError:
        x = y = z = float("nan")
    if not all(low <= value <= high for value in (x, y, z)):
        expected = f"three numbers from {low:g} to {high:g}, such as 0.1,0.2,0"
        other = "base, centre, file, or " if option == "--origin" else ""
        raise typer.BadParameter(f"got {text!r}, expected {other}{expected}", param_hint=option)
    return x, y, z


def _show_added(added: list[AddedObject]) -> None:
    for one in added:
        size = " x ".join(f"{100 * side:.1f}" for side in one.size_m)
        guessed = ", guessed from its size" if one.unit_guessed else ""
        poses = one.spec.resting_poses
        rests = f"{len(poses)} resting poses, upright {100 * one.upright_probability:.0f} %"
        lines = [
            f"{one.name}: {size} cm; unit {one.unit}{guessed}; {one.up_axis} up; {one.faces:,} faces",
            f"  {'rests upright' if len(poses) == 1 else rests}; symmetry: {_symmetry(one)}",
            *(f"  {remark}" for remark in one.remarks),
        ]
        for line in lines:
            console().print(line, markup=False)


def _symmetry(one: AddedObject) -> str:
    symmetry = one.spec.symmetry
    parts = [f"any rotation about {symmetry.continuous}"] if symmetry.continuous else []
    if symmetry.continuous == "any":
        return "any rotation"
    parts += [f"{item.fold}-fold about {item.axis}" for item in symmetry.discrete]
    return ", ".join(parts) or "none"


def _added_record(one: AddedObject) -> dict[str, Any]:
    return {
        "name": one.name,
        "source": str(one.source),
        "size_m": list(one.size_m),
        "unit": one.unit,
        "unit_guessed": one.unit_guessed,
        "up_axis": one.up_axis,
        "faces": one.faces,
        "faces_before": one.faces_before,
        "upright_probability": one.upright_probability,
        "manifest": one.spec.model_dump(mode="json", exclude_defaults=True, by_alias=True),
        "remarks": list(one.remarks),
    }


add_command(group, add, ADD_EXAMPLES)
add_command(group, check, CHECK_EXAMPLES)
add_command(group, list_assets, LIST_EXAMPLES, "list")
add_command(group, show, SHOW_EXAMPLES)
