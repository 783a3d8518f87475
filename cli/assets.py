"""`inverse-graphics assets list|show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .application import add, answer, new_group
from .options import Json, named
from .streams import console

if TYPE_CHECKING:
    from inverse_graphics.visualisation.asset_facts import AssetFacts

group = new_group("Asset packs: meshes of the objects in scenes.")

LIST_EXAMPLES = """\
inverse-graphics assets list
inverse-graphics assets list --pack my_pack/
inverse-graphics assets list --json - | jq '.[].asset'"""

SHOW_EXAMPLES = """\
inverse-graphics assets show crockery/mug
inverse-graphics assets show mug --pack my_pack/ --json -"""

Pack = Annotated[str | None, named("NAME|DIR", "A shipped pack's name, or a pack's folder.")]


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
    asset: Annotated[str, typer.Argument(metavar="ASSET", help='Such as "crockery/mug".')],
    pack: Pack = None,
    json: Json = None,
) -> None:
    """Show an object's size, number of faces, surface, symmetry and licence."""
    from dataclasses import asdict

    from rich.table import Table

    from inverse_graphics.packs.pack import load_pack
    from inverse_graphics.visualisation.asset_facts import facts_of_asset

    facts = facts_of_asset(load_pack(pack or asset.partition("/")[0]), asset)

    def show() -> None:
        table = Table.grid(padding=(0, 2))
        rows = {**asdict(facts), "size_m": _centimetres(facts) + " cm"}
        for name, value in rows.items():
            table.add_row(name.replace("_m", "").replace("_", " "), str(value))
        console().print(table)

    answer(asdict(facts), json, show)


def _centimetres(facts: AssetFacts) -> str:
    return " x ".join(f"{100 * side:.1f}" for side in facts.size_m)


add(group, list_assets, LIST_EXAMPLES, "list")
add(group, show, SHOW_EXAMPLES)
