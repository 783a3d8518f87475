"""`inverse-graphics data list|fetch|make`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .application import add, answer, new_group
from .options import Device, Engine, FamilyPacks, Json, Seed, loaded_packs, named, number
from .streams import advancing, console, notify

if TYPE_CHECKING:
    from inverse_graphics.data.multi_object_set import ImageSet, ImageSetSettings
    from inverse_graphics.data.published import FoundFile
    from inverse_graphics.families.dataset import Dataset
    from inverse_graphics.families.quantities import FamilySettings
    from inverse_graphics.io.parts import Parts

MULTI_OBJECT_KINDS = ("multi_mnist", "sprites", "multi_dsprites", "omniglot")
"""The available kinds, listed here so that --help does not import the library."""

group = new_group("Training data: scene families, generated image sets, and published data sets.")

LIST_EXAMPLES = """\
inverse-graphics data list
inverse-graphics data list --json - | jq '.[].name'"""

FETCH_EXAMPLES = """\
inverse-graphics data fetch
inverse-graphics data fetch mnist omniglot --json -"""

MAKE_EXAMPLES = """\
inverse-graphics data make table_top --images 1000 --out data/tables
inverse-graphics data make single_object --images 2000 --out data/held_out --seed 1 --sigma 0.05
inverse-graphics data make my_family.yaml --images 100000 --out data/mine --workers 8
inverse-graphics data make my_family.yaml --pack my_pack/ --images 64 --out data/mine
inverse-graphics data make multi_mnist --images 60000 --out data/digits
inverse-graphics data make multi_mnist --images 10000 --share test --out data/test \\
    --set "scale=[0.6, 1.2]" --set "background={kind: grid}"
inverse-graphics data make sprites --images 5000 --out data/sprites --set placement=overlapping"""


def list_families(json: Json = None) -> None:
    """List the scene families and kinds of images that `data make` generates, and the published data sets."""
    from rich.table import Table

    from inverse_graphics.data.published import known_files
    from inverse_graphics.families.registry import read_family, shipped_families

    families = {name: read_family(name) for name in shipped_families()}
    kinds = _multi_object_kinds()

    def show() -> None:
        table = Table("family", "objects", "kinds", "pixels", "description", box=None, pad_edge=False)
        for name, settings in families.items():
            size = f"{settings.image_size}x{settings.image_size}"
            table.add_row(name, _counts(settings), str(len(settings.kinds)), size, settings.description)
        console().print(table, "")
        table = Table("images", "of", "source", box=None, pad_edge=False)
        for kind in kinds:
            table.add_row(str(kind["name"]), str(kind["objects"]), str(kind["description"]))
        console().print(table, "")
        _show_files(list(known_files()))

    listed = [{"name": name} | family.model_dump(mode="json") for name, family in families.items()]
    answer([*listed, *kinds], json, show)


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="mnist, omniglot or dsprites; default all."),
    ] = None,
    json: Json = None,
) -> None:
    """Download published data sets into the user's cache, and verify those already there.

    Training downloads missing data automatically; use this command to prepare for training offline.
    """
    from inverse_graphics.data.published import fetch_files

    files = list(fetch_files(names or ()))
    answer([file._asdict() for file in files], json, lambda: _show_files(files))


def _show_files(files: Sequence[FoundFile]) -> None:
    from rich.table import Table

    table = Table("file", "MB", "location", box=None, pad_edge=False)
    for file in files:
        table.add_row(file.name, f"{file.size / 1e6:.1f}", file.path or "not downloaded: run `data fetch`")
    console().print(table)


def make(
    family: Annotated[
        str,
        typer.Argument(
            metavar="FAMILY|KIND",
            help="A scene family (shipped name or YAML file) or a kind of images; see `data list`.",
        ),
    ],
    images: Annotated[int, number("Number of images.", 1, 10_000_000)],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the data set.")],
    seed: Seed = 0,
    sigma: Annotated[
        float,
        number("Standard deviation of the pixel noise; pixels are in [0, 1].", 0, 1, metavar="S"),
    ] = 0.0,
    engine: Engine = "embedded",
    workers: Annotated[int | None, number("Number of processes; default one per core.", 1, 1024)] = None,
    packs: FamilyPacks = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a setting of a kind of images; may be repeated."
        ),
    ] = None,
    share: Annotated[
        str | None, named("NAME", "For a kind of images: use the train, calibration or test glyphs.")
    ] = None,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Generate a data set: images, masks, depth and ground truth of a scene family, or arrays of images.

    The same settings give identical bytes with any number of processes. Ctrl-C keeps the finished parts,
    and the same command continues from there.
    """
    processes = workers or os.cpu_count() or 1
    if family in MULTI_OBJECT_KINDS:
        from inverse_graphics.data.multi_object_set import make_image_set

        _refuse(
            "scenes",
            {
                "--sigma": sigma,
                "--pack": packs,
                "--engine": engine != "embedded",
                "--device": device != "cpu",
            },
        )
        settings = _image_set_settings(family, overrides or (), images, seed, share or "train")
        _make(settings.parts(out), partial(make_image_set, settings, out, processes), json)
    else:
        from inverse_graphics.families.dataset import DatasetSettings
        from inverse_graphics.families.dataset_making import make_dataset
        from inverse_graphics.families.registry import read_family

        _refuse("kinds of images", {"--set": overrides, "--share": share})
        wanted = DatasetSettings(
            family=read_family(family).with_packs(loaded_packs(packs)),
            images=images,
            seed=seed,
            sigma=sigma,
            engine=engine,
        )
        make = partial(make_dataset, wanted, out, processes, device=device)
        _make(wanted.parts(out), make, json)


def _make(parts: Parts, make: Callable[..., Dataset | ImageSet], json: str | None) -> None:
    """Call `make(advanced=…)` with a progress bar, and print the data set's folder or how to continue."""
    folder = parts.path(0).parent
    try:
        with advancing("drawing", parts.images) as advance:
            made = make(advanced=advance)
    except KeyboardInterrupt:
        notify(
            f"stopped: {parts.images_made():,} of {parts.images:,} images are in {folder}; "
            "run the same command to continue"
        )
        raise typer.Exit(130) from None
    facts = {**made.document.model_dump(mode="json"), "complete": made.document.complete}
    answer(
        {"folder": str(folder), **facts},
        json,
        lambda: notify(f"{parts.images:,} images are in {folder}; {folder / 'sheet.png'} shows the first"),
    )


def _multi_object_kinds() -> list[dict[str, Any]]:
    """Name, objects, source and settings of each kind of images."""
    from inverse_graphics.data.sources import KINDS

    kinds = {name: kind.model_validate({"kind": name}) for name, kind in KINDS.items()}
    return [
        {"name": name, "objects": of.objects, "description": of.origin, **of.model_dump(mode="json")}
        for name, of in kinds.items()
    ]


def _image_set_settings(
    kind: str, overrides: Sequence[str], images: int, seed: int, share: str
) -> ImageSetSettings:
    """The settings of a set, `key=value` overrides applied.

    Raises:
        DataError: an override is not key=value, or its key or value is not valid.
    """
    from inverse_graphics.data.multi_object_set import ImageSetSettings
    from inverse_graphics.errors import DataError
    from inverse_graphics.io.documents import parse_yaml, validated

    data: dict[str, Any] = {"kind": kind}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise DataError(f"override {override!r} is not key=value, such as size=64")
        data[key] = parse_yaml(text, f"override {key}", DataError)
    document = {"data": data, "images": images, "seed": seed, "share": share}
    return validated(ImageSetSettings, document, kind, DataError)


def _refuse(applies_to: str, options: dict[str, object]) -> None:
    """Raise an error for options that were given but do not apply."""
    if given := [option for option, value in options.items() if value]:
        raise typer.BadParameter(f"is for {applies_to} only", param_hint=given[0])


def _counts(settings: FamilySettings) -> str:
    possible = settings.possible_counts
    return f"{possible[0]} to {possible[-1]}" if len(possible) > 1 else str(possible[0])


add(group, list_families, LIST_EXAMPLES, "list")
add(group, fetch, FETCH_EXAMPLES)
add(group, make, MAKE_EXAMPLES)
