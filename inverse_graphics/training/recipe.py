"""Recipes: one YAML file that specifies a training run completely."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, Union, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from inverse_graphics.data.sources import MultiMnistData, MultiObjectData
from inverse_graphics.errors import RecipeError
from inverse_graphics.families.quantities import with_packs_beside
from inverse_graphics.io.documents import (
    find_document,
    parse_yaml,
    read_document,
    shipped_documents,
    validated,
)
from inverse_graphics.io.registry import Registry
from inverse_graphics.models.adaptive.sequence_network import AdaptiveSettings
from inverse_graphics.models.adaptive.settings import AdaptiveObjectiveSettings
from inverse_graphics.models.air2d.network import Air2DSettings
from inverse_graphics.models.air3d.network import Air3DSettings
from inverse_graphics.models.air3d.objectives import Air3DObjective
from inverse_graphics.models.estimators.estimator import ESTIMATORS, EstimatorSettings
from inverse_graphics.models.residual.block import KindName
from inverse_graphics.models.residual.network import ResidualSettings
from inverse_graphics.rendering.engines import DEFAULT_ENGINE
from inverse_graphics.sequences.problems import SequenceProblem
from inverse_graphics.training.optimiser import OptimiserSettings

BLOCK_OBJECTIVES: dict[KindName, tuple[str, ...]] = {
    "plain": ("plain",),
    "act": ("act",),
    "sact": ("act",),
    "pact": ("relaxed", "reinforce"),
    "psact": ("relaxed", "reinforce"),
}
"""The objectives that train residual blocks of each kind."""
RESUMABLE = frozenset({"steps", "evaluation", "checkpoint_every", "threads", "device", "model.max_steps"})
"""Keys that may change when a run is resumed; a section stands for all of its keys."""


RENAMED_KEYS = {
    "objective.misjudgement": "objective.state_perturbation",
    "objective.misjudgement.turn_degrees": "objective.state_perturbation.orientation_degrees",
    "objective.state_perturbation.turn_degrees": "objective.state_perturbation.orientation_degrees",
    "objective.kept": "objective.kept_proposals",
    "objective.turn_steps": "objective.orientation_steps",
    "objective.remembered": "objective.replay_ratio",
    "objective.memory": "objective.replay_capacity",
    "objective.robust": "objective.uniform_mixture_weight",
    "objective.defence": "objective.defensive_mixture_weight",
    "objective.leeway_nats": "objective.misfit_scale_nats",
}
"""Keys of recipes of version 0.1, which are still read, and their present names."""


EARLIER_MODEL: dict[str, Any] = {"normalise_maps": False}
EARLIER_OBJECTIVES: dict[str, dict[str, Any]] = {
    "sleep": {"uniform_mixture_weight": 0.0},
    "wake_sleep": {"uniform_mixture_weight": 0.0},
}
"""Of keys that 3D runs of earlier versions did not store: of the model, and of the objective by its kind."""


RECIPES: Registry[type[Recipe]] = Registry("model type")
"""Recipes by the model type that they train, `model.kind`."""


def _estimator_kind(settings: object) -> str:
    kind = settings.get("kind") if isinstance(settings, dict) else getattr(settings, "kind", None)
    return kind or "exact"


if TYPE_CHECKING:
    Air2DObjective = EstimatorSettings
else:
    Air2DObjective = Annotated[
        Union[tuple(Annotated[settings, Tag(kind)] for kind, settings in ESTIMATORS.items())],  # noqa: UP007
        Discriminator(_estimator_kind),
    ]
    """Settings of any estimator; `kind` is "exact" by default."""


class EvaluationSettings(BaseModel):
    """Evaluation on held-out data, during training and at its end.

    Attributes:
        every: steps between evaluations.
        size: number of images.
        seed: of their stream.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int = Field(default=500, ge=1)
    size: int = Field(default=2000, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)


class Recipe(BaseModel):
    """The settings of a training run that all models share; stored with the run and its weights.

    Attributes:
        device: of the network and its batches, "cpu", "cuda" or "cuda:N".
    """

    model_type: ClassVar[str]
    """The model type that it trains, a value of `model.kind`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")
    optimiser: OptimiserSettings = OptimiserSettings()
    steps: int = Field(ge=1, le=10**9)
    batch_size: int = Field(default=64, ge=1, le=2**20)
    seed: int = Field(default=0, ge=0, lt=2**63)
    evaluation: EvaluationSettings = EvaluationSettings()
    checkpoint_every: int = Field(default=1000, ge=1)
    threads: int | None = Field(default=None, ge=1, le=1024)
    device: str = Field(default="cpu", max_length=16)

    @model_validator(mode="before")
    @classmethod
    def _read_old_keys(cls, document: Any) -> Any:
        return with_current_keys(document) if isinstance(document, Mapping) else document

    def to_yaml(self) -> str:
        """Write the complete recipe with its defaults; reading it gives an equal recipe."""
        content = self.model_dump(mode="json")
        return yaml.safe_dump({key: content[key] for key in self.sections()}, sort_keys=False)

    @classmethod
    def sections(cls) -> list[str]:
        """The top-level keys in the order of display: the name, the model's own keys, the common ones."""
        common = list(Recipe.model_fields)
        special = [key for key in cls.model_fields if key not in common]
        return [common[0], *special, *common[1:]]


@RECIPES.register("air2d")
class Air2DRecipe(Recipe):
    """A recipe for the 2D model on images of several objects."""

    model_type: ClassVar[str] = "air2d"

    data: MultiObjectData = MultiMnistData()
    model: Air2DSettings = Air2DSettings.model_validate({})
    objective: Air2DObjective = ESTIMATORS["exact"].model_validate({})

    @model_validator(mode="after")
    def _model_fits_data(self) -> Self:
        if self.model.image_size != self.data.size:
            raise ValueError(f"model.image_size {self.model.image_size} is not data.size {self.data.size}")
        most = max(self.data.largest_count, self.data.test_settings().largest_count)
        if self.model.max_objects < most:
            raise ValueError(
                f"model.max_objects {self.model.max_objects} is less than the {most} objects that "
                "data.count_weights and data.held_out_count_weights allow"
            )
        longest = getattr(self.objective, "longest_prefix", None)
        if longest is not None and longest < self.data.largest_count:
            raise ValueError(
                f"objective.longest_prefix {longest} is less than the {self.data.largest_count} objects that "
                "data.count_weights allows: no prefix would contain all objects of such an image"
            )
        return self


@RECIPES.register("air3d")
class Air3DRecipe(Recipe):
    """A recipe for the 3D model on rendered scenes of a family.

    Attributes:
        engine: of rendering.
        engine_samples: for an engine without gradients, samples per pixel and axis.
        engine_workers: for an engine without gradients, processes that render its finite differences.
    """

    model_type: ClassVar[str] = "air3d"

    model: Air3DSettings
    objective: Air3DObjective
    engine: str = Field(default=DEFAULT_ENGINE, max_length=64)
    engine_samples: int | None = Field(default=None, ge=1, le=16)
    engine_workers: int = Field(default=0, ge=0, le=256)


@RECIPES.register("adaptive")
class AdaptiveRecipe(Recipe):
    """A recipe for a recurrent network with adaptive computation on a sequence problem.

    Attributes:
        curriculum_steps: steps over which the largest difficulty of training inputs grows from the smallest
            to the full one; 0 for no curriculum.
    """

    model_type: ClassVar[str] = "adaptive"

    data: SequenceProblem
    curriculum_steps: int = Field(default=0, ge=0)
    model: AdaptiveSettings
    objective: AdaptiveObjectiveSettings

    @model_validator(mode="after")
    def _repetitions_fit_objective(self) -> Self:
        if (self.model.repetitions is None) == (self.objective.kind == "plain"):
            raise ValueError(
                "objective.kind plain goes with model.repetitions, the steps for every input, and the other "
                f"kinds with null; got {self.objective.kind} and {self.model.repetitions}"
            )
        return self


@RECIPES.register("residual")
class ResidualRecipe(Recipe):
    """A recipe for a residual network with adaptive computation on images of one object each."""

    model_type: ClassVar[str] = "residual"

    data: MultiObjectData
    model: ResidualSettings
    objective: AdaptiveObjectiveSettings

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.model.image_size != self.data.size or self.model.channels != 1:
            raise ValueError(
                f"model.image_size is data.size, {self.data.size}, and model.channels 1; got "
                f"{self.model.image_size} and {self.model.channels}"
            )
        for data in (self.data, self.data.test_settings()):
            if data.count_probabilities.tolist() != [0, 1]:
                raise ValueError("data.count_weights is [0, 1]: the one object of an image is classified")
        allowed = BLOCK_OBJECTIVES[self.model.block]
        if self.objective.kind not in allowed:
            raise ValueError(
                f"blocks of kind {self.model.block} are trained by objective.kind {' or '.join(allowed)}; "
                f"got {self.objective.kind}"
            )
        return self


def recipe_class(document: Mapping[str, Any], source: str) -> type[Recipe]:
    """Choose the recipe class of a document by `model.kind`, by default air2d.

    Raises:
        RecipeError: the kind is unknown.
    """
    model = document.get("model")
    kind = model.get("kind", "air2d") if isinstance(model, Mapping) else "air2d"
    if kind not in RECIPES:
        raise RecipeError(f"{source}: model.kind: got {str(kind)[:40]!r}, expected {' or '.join(RECIPES)}")
    return RECIPES[kind]


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe and apply overrides.

    Args:
        name_or_path: A shipped recipe's name, or a .yaml, .yml or .json file.
        overrides: Dotted keys and YAML values, such as "optimiser.learning_rate=1e-3".

    Returns:
        The recipe, validated.

    Raises:
        RecipeError: No such recipe, or it or an override is not valid; one line.
    """
    name = str(name_or_path)
    path = find_document(name, "recipe", shipped_recipes(), RecipeError)
    document = read_document(path, RecipeError)
    if not isinstance(document, dict):
        raise RecipeError(f"{name} is not a recipe: expected a mapping with name, steps, data, model, …")
    model = document.get("model")
    if isinstance(model, dict) and "family" in model:
        document["model"] = {**model, "family": with_packs_beside(model["family"], path.parent)}
    changed = with_overrides(document, overrides)
    return validated(recipe_class(changed, name), changed, name, RecipeError)


def shipped_recipes() -> dict[str, Path]:
    """List the recipes that ship with the package: their files by name."""
    return shipped_documents("recipes")


def with_overrides(document: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Copy a recipe's document with other values for dotted keys.

    Raises:
        RecipeError: an override is not key=value, its key is unknown, or its value is not YAML.
    """
    document = with_current_keys(document)
    for override in overrides:
        key, equals, text = override.partition("=")
        key = current_key(key)
        if not equals or not key:
            raise RecipeError(f"override {override!r} is not key=value, such as optimiser.learning_rate=1e-3")
        _check_key(key, recipe_class(document, "the recipe"))
        document = _with(document, key.split("."), parse_yaml(text, f"override {key}", RecipeError))
    return document


def current_key(key: str) -> str:
    """The present name of a dotted key, which may be one of version 0.1."""
    section, dot, rest = key.rpartition(".")
    if key in RENAMED_KEYS:
        return RENAMED_KEYS[key]
    return f"{current_key(section)}{dot}{rest}" if section else key


def with_current_keys(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Copy a recipe's document with keys of version 0.1 under their present names.

    Raises:
        RecipeError: it has a key under both names.
    """
    current: dict[str, Any] = {}
    for key, value in document.items():
        name = current_key(f"{prefix}{key}").rpartition(".")[2]
        if name in current or (name != key and name in document):
            raise RecipeError(f"{prefix}{key} is the old name of {prefix}{name}: give one of them")
        section = f"{prefix}{key}."
        current[name] = with_current_keys(value, section) if isinstance(value, Mapping) else value
    return current


def with_earlier_values(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the recipe that a run stored, with the values it had for keys that have come since."""
    model = stored.get("model")
    if not isinstance(model, Mapping) or model.get("kind") != "air3d":
        return dict(stored)
    completed = {**stored, "model": {**EARLIER_MODEL, **model}}
    objective = stored.get("objective")
    if isinstance(objective, Mapping):
        completed["objective"] = {**EARLIER_OBJECTIVES.get(str(objective.get("kind")), {}), **objective}
    return completed


def differences(one: Recipe, other: Recipe) -> list[str]:
    """List the dotted keys in which two recipes differ."""
    return sorted(
        key
        for key in _leaves(type(one))
        if _at(one.model_dump(), key.split(".")) != _at(other.model_dump(), key.split("."))
    )


def _check_key(key: str, kind: type[Recipe]) -> None:
    known = set(_keys(kind))
    if key in known:
        return
    by_last_part = [other for other in known if other.rpartition(".")[2] == key.rpartition(".")[2]]
    near = sorted(by_last_part) or get_close_matches(key, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known keys: {', '.join(kind.sections())}"
    raise RecipeError(f"a recipe has no key {key!r}: {hint}")


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield prefix + name
        for choice in _choices(info.annotation):
            yield from _keys(choice, f"{prefix}{name}.")


def _choices(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models of a field's type: one, or those of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _choices(argument)


def _leaves(model: type[BaseModel]) -> list[str]:
    keys = sorted(set(_keys(model)))
    return [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]


def _with(document: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {**document, head: value}
    section = document.get(head)
    return {**document, head: _with(section if isinstance(section, dict) else {}, rest, value)}


def _at(document: Any, path: list[str]) -> Any:
    """The value at a path; None if another choice of a union is set."""
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document
