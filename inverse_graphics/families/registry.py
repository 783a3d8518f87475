"""Builds families from settings, and reads settings by name or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field, RootModel

from inverse_graphics.errors import SceneError
from inverse_graphics.families import single_object, table_top  # noqa: F401 - importing registers them
from inverse_graphics.families.family import FAMILIES, SceneFamily
from inverse_graphics.families.quantities import FamilySettings, with_packs_beside
from inverse_graphics.io.documents import find_document, read_document, shipped_documents, validated
from inverse_graphics.packs.pack import Pack, load_pack

if TYPE_CHECKING:
    AnyFamilySettings = FamilySettings
else:
    AnyFamilySettings = Annotated[
        Union[tuple(FAMILIES[kind].settings for kind in sorted(FAMILIES))],  # noqa: UP007 - of a tuple
        Field(discriminator="kind"),
    ]
    """The settings of a registered family; `kind` names it."""


class _Document(RootModel[AnyFamilySettings]):
    pass


def build_family(settings: FamilySettings, packs: Sequence[Pack] = ()) -> SceneFamily:
    """Load a family's objects.

    Args:
        settings: of the family, and of the folders of its packs.
        packs: the caller's own, which take the place of those in the settings; shipped ones are found by
            name.

    Raises:
        AssetError: an unknown pack or object, or files that cannot be used.
        SceneError: an object is larger than the image.

    """
    given = {pack.name for pack in packs}
    own = [pack for pack in map(load_pack, settings.packs) if pack.name not in given]
    return FAMILIES[settings.kind].family.build(settings, [*own, *packs])


def shipped_families() -> tuple[str, ...]:
    """List the names of the families that come with the package.

    Returns:
        The names, sorted.
    """
    return tuple(shipped_documents("scenes", "families"))


def read_family(name_or_path: str | Path) -> FamilySettings:
    """Read settings from a .yaml, .yml or .json file, or a shipped family's by its name.

    Raises:
        SceneError: no such family or file, or settings that are not valid; one line.
    """
    path = find_document(name_or_path, "scene family", shipped_documents("scenes", "families"), SceneError)
    document = read_document(path, SceneError)
    if not isinstance(document, dict):
        raise SceneError(f"{path}: expected a mapping with 'kind' and the settings of a scene family")
    document = with_packs_beside(document, path.parent)
    return validated(_Document, document, str(path), SceneError).root


def load_family(name_or_path: str | Path, packs: Sequence[Pack] = ()) -> SceneFamily:
    """Load a family of scenes: a distribution from which scenes are sampled.

    Args:
        name_or_path: A shipped family's name (see `shipped_families`), or a .yaml, .yml or .json file.
        packs: Asset packs of your own that the family needs; shipped ones are found by name.

    Returns:
        The family, its meshes loaded.

    Raises:
        SceneError: No such family or file, or settings that are not valid; one line.
        AssetError: An unknown pack or object, or files that cannot be used.
    """
    return build_family(read_family(name_or_path), packs)
