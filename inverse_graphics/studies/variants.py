"""Variants: the ways of training a recipe that a study compares, each a name and what it changes."""

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
    """What a file of variants holds: overrides by name."""


@dataclass(frozen=True)
class Variant:
    """One way of training.

    Attributes:
        overrides: `key=value`, as `train --set` takes them.
    """

    name: str
    overrides: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The name, as folders and files bear it."""
        return self.name.replace("/", "-")


def shipped_variants(study: str) -> dict[str, Variant]:
    """Those that come with a study, by name."""
    with resources.as_file(resources.files("inverse_graphics.studies") / f"{study}.yaml") as path:
        return read_variants(path)


def read_variants(path: Path | str) -> dict[str, Variant]:
    """The variants in a YAML file, by name: `name: [key=value, …]`.

    Raises:
        RecipeError: no such file, or it holds something else; one line.
    """
    document = validated(_Variants, read_document(path, RecipeError), str(path), RecipeError).root
    variants = {name: Variant(name, tuple(overrides)) for name, overrides in document.items()}
    alike = {variant.file_name: name for name, variant in variants.items()}
    if hidden := sorted(set(variants) - set(alike.values())):
        twin = alike[variants[hidden[0]].file_name]
        raise RecipeError(f"{path}: {hidden[0]!r} and {twin!r} would share their files: rename one of them")
    return variants


def choose(names: Sequence[str], known: Mapping[str, Variant]) -> list[Variant]:
    """The variants of these names, in their order, each once.

    Raises:
        RecipeError: one is not known; the message tells which are.
    """
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise RecipeError(f"no variant {name!r}: {hint}known variants: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def varied_recipe(recipe: str | Path, variant: Variant, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe as a variant changes it, and then `overrides` do.

    Raises:
        RecipeError: no such recipe, or it does not go with the variant or the overrides; one line.
    """
    base = load_recipe(recipe)
    changes = [*_objective_anew(base, variant), *variant.overrides, *overrides]
    try:
        return load_recipe(recipe, changes)
    except RecipeError as error:
        raise RecipeError(f"variant {variant.name}: {error}") from error


def _objective_anew(base: Recipe, variant: Variant) -> list[str]:
    """Where a variant has an objective of another kind, what the recipe says of its own does not apply."""
    kinds = [kind for key, _, kind in (text.partition("=") for text in variant.overrides) if key == _KIND]
    before = base.model_dump().get("objective", {}).get("kind")
    return [f"objective={{kind: {kinds[-1]}}}"] if kinds and kinds[-1] != before else []


_KIND = "objective.kind"
