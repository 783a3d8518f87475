"""`inverse-graphics data list|make`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .application import add, new_group
from .streams import STDOUT, advancing, console, say, write_json

if TYPE_CHECKING:
    from inverse_graphics.families.dataset import DatasetDocument
    from inverse_graphics.families.families import AnyFamilySettings

group = new_group("Scene families, and data sets of pictures with their ground truth.")

LIST_EXAMPLES = """\
inverse-graphics data list
inverse-graphics data list --json - | jq '.[].name'"""

MAKE_EXAMPLES = """\
inverse-graphics data make table_top --images 1000 --out data/tables
inverse-graphics data make single_object --images 2000 --out data/held_out --seed 1 --sigma 0.05
inverse-graphics data make my_family.yaml --images 100000 --out data/mine --workers 8
inverse-graphics data make my_family.yaml --pack my_pack/ --images 64 --out data/mine"""

Json = Annotated[str | None, typer.Option(metavar="FILE|-", help="Write JSON to FILE, or - for stdout.")]


def list_families(json: Json = None) -> None:
    """List the scene families that come with the package."""
    from rich.table import Table

    from inverse_graphics.families.families import read_family, shipped_families

    families = {name: read_family(name) for name in shipped_families()}
    if json != STDOUT:
        table = Table("family", "objects", "kinds", "pixels", "what it shows", box=None, pad_edge=False)
        for name, settings in families.items():
            size = f"{settings.image_size}x{settings.image_size}"
            table.add_row(name, _counts(settings), str(len(settings.kinds)), size, settings.description)
        console().print(table)
    if json is not None:
        write_json(
            json, [{"name": name} | family.model_dump(mode="json") for name, family in families.items()]
        )


def make(
    family: Annotated[
        str, typer.Argument(metavar="FAMILY", help="A family's YAML file, or a shipped one's name.")
    ],
    images: Annotated[int, typer.Option(metavar="N", min=1, max=10_000_000, help="How many images.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The data set's folder.")],
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Other seeds give other scenes.")] = 0,
    sigma: Annotated[
        float,
        typer.Option(
            metavar="S",
            min=0,
            max=1,
            help="Standard deviation of the noise on pixels, 1 being full brightness.",
        ),
    ] = 0.0,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="The render engine; `doctor` lists them.")
    ] = "embedded",
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1024, help="Processes; one per core if not given.")
    ] = None,
    pack: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="An asset pack of one's own; may be given again.")
    ] = None,
    json: Json = None,
) -> None:
    """Draw a data set: images, masks, depth and ground truth.

    The same settings give the same bytes, however many processes draw. Ctrl-C keeps what is finished, and the
    same command goes on from there.
    """
    from inverse_graphics.families.dataset import DatasetSettings
    from inverse_graphics.families.dataset_making import images_made, make_dataset
    from inverse_graphics.families.families import read_family
    from inverse_graphics.packs.pack import load_pack

    settings = DatasetSettings(
        family=read_family(family), images=images, seed=seed, sigma=sigma, engine=engine
    )
    packs = [load_pack(folder) for folder in pack or ()]
    processes = workers or os.cpu_count() or 1
    try:
        with advancing("drawing", images) as advance:
            made = make_dataset(settings, out, processes, packs, advance)
    except KeyboardInterrupt:
        done = images_made(settings, out)
        say(f"stopped: {done:,} of {images:,} images are in {out}; the same command goes on")
        raise typer.Exit(130) from None
    if json is not None:
        write_json(json, _facts(out, made.document))
    if json != STDOUT:
        say(f"{images:,} images are in {out}; {out / 'sheet.png'} shows the first")


def _counts(settings: AnyFamilySettings) -> str:
    if settings.kind == "single_object":
        return "1"
    possible = [count for count, weight in enumerate(settings.count_weights) if weight > 0]
    return f"{possible[0]} to {possible[-1]}" if len(possible) > 1 else str(possible[0])


def _facts(folder: Path, document: DatasetDocument) -> dict[str, object]:
    return {"folder": str(folder), **document.model_dump(mode="json")}


add(group, list_families, LIST_EXAMPLES, "list")
add(group, make, MAKE_EXAMPLES)
