"""Variants of a recipe that a study compares: each is a name and a list of overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field, RootModel

from inverse_graphics.errors import RecipeError
from inverse_graphics.io.documents import read_document, validated
from inverse_graphics.training.recipe import Recipe, load_recipe

Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_.+/-]{0,63}$")]


class _Variants(RootModel[dict[Name, list[str]]]):
    """The content of a file of variants: overrides by name."""


@dataclass(frozen=True)
class Variant:
    """A variant of a recipe.

    Attributes:
        name: name of the variant.
        overrides: `key=value`, as for `train --set`.
    """

    name: str
    overrides: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The name as used in names of files and folders."""
        return self.name.replace("/", "-")


def shipped_variants(study: str) -> dict[str, Variant]:
    """The variants that ship with a study, by name."""
    with resources.as_file(resources.files("inverse_graphics.studies") / f"{study}.yaml") as path:
        return read_variants(path)


def read_variants(path: Path | str) -> dict[str, Variant]:
    """Read the variants in a YAML file, `name: [key=value, …]`, by name.

    Raises:
        RecipeError: the file does not exist or is not valid; one line.
    """
    document = validated(_Variants, read_document(path, RecipeError), str(path), RecipeError).root
    variants = {name: Variant(name, tuple(overrides)) for name, overrides in document.items()}
    by_file_name = {variant.file_name: name for name, variant in variants.items()}
    if hidden := sorted(set(variants) - set(by_file_name.values())):
        twin = by_file_name[variants[hidden[0]].file_name]
        raise RecipeError(f"{path}: {hidden[0]!r} and {twin!r} would share their files: rename one of them")
    return variants


def choose(names: Sequence[str], known: Mapping[str, Variant]) -> list[Variant]:
    """Select variants by name, in the given order, without duplicates.

    Raises:
        RecipeError: a name is unknown; the message lists the known ones.
    """
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise RecipeError(f"no variant {name!r}: {hint}known variants: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def varied_recipe(recipe: str | Path, variant: Variant, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe with the overrides of a variant and then further `overrides`.

    Raises:
        RecipeError: the recipe does not exist, or does not fit the variant or the overrides; one line.
    """
    base = load_recipe(recipe)
    changes = [*_objective_anew(base, variant), *variant.overrides, *overrides]
    try:
        return load_recipe(recipe, changes)
    except RecipeError as error:
        raise RecipeError(f"variant {variant.name}: {error}") from error


def _objective_anew(base: Recipe, variant: Variant) -> list[str]:
    """Drop the recipe's objective settings if the variant sets another kind of objective."""
    kinds = [kind for key, _, kind in (text.partition("=") for text in variant.overrides) if key == _KIND]
    before = base.model_dump().get("objective", {}).get("kind")
    return [f"objective={{kind: {kinds[-1]}}}"] if kinds and kinds[-1] != before else []


_KIND = "objective.kind"
