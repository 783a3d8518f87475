"""Model cards: data, figures, limits and recipe of trained weights, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel
from torch import nn

from inverse_graphics.data.multi_object import GlyphPlacement
from inverse_graphics.models.outlier_detector import OutlierDetector
from inverse_graphics.models.weights import ModelDocument, save_model
from inverse_graphics.training.recipe import AdaptiveRecipe, Air2DRecipe, Air3DRecipe, ResidualRecipe

AnyRecipe = TypeVar("AnyRecipe", AdaptiveRecipe, Air2DRecipe, Air3DRecipe, ResidualRecipe)


def write_model(
    folder: Path,
    network: nn.Module,
    recipe: AnyRecipe,
    metrics: Mapping[str, float],
    card: Callable[[AnyRecipe, ModelDocument], str],
    detector: OutlierDetector | None = None,
    settings: BaseModel | None = None,
) -> None:
    """Write a trained network as a model folder.

    Args:
        folder: its path.
        network: the network.
        recipe: of its training.
        metrics: held-out figures.
        card: builds the model card.
        detector: the outlier detector, if there is one.
        settings: of the network; the recipe's `model` by default.
    """
    document = ModelDocument(
        kind=recipe.model_type,
        settings=(settings or recipe.model).model_dump(mode="json"),
        recipe=recipe.model_dump(mode="json"),
        metrics=dict(metrics),
        familiarity=detector,
    )
    save_model(folder, network, document, card(recipe, document))


def model_card(recipe: Air2DRecipe, document: ModelDocument) -> str:
    """Build the card of a 2D model: data, recipe, held-out figures, warning thresholds and limits."""
    sections = [
        f"# {recipe.name}\n",
        f"Infers the number of objects in an image and their positions; model type `{document.kind}`, "
        f"seed {recipe.seed}.\n",
        f"## Data\n\n{_data(recipe)}\n",
        f"## Held-out figures\n\nOn {recipe.evaluation.size:,} images (stream {recipe.evaluation.seed}); "
        f"figures are shares or nats.\n\n{_table(document.metrics)}",
        f"## Warning\n\n{_warning(document, _DIGIT_SUMMARY, 'training images')}",
        f"## Limits\n\n{_limits(recipe)}\n",
        f"## Recipe\n\n```yaml\n{recipe.to_yaml()}```\n",
        f"## Versions\n\n{', '.join(f'{name} {version}' for name, version in document.versions.items())}\n",
    ]
    return "\n".join(sections)


_PLACES: dict[GlyphPlacement, str] = {
    "disjoint": "with disjoint bounding boxes",
    "adding": "whose bounding boxes may overlap",
    "overlapping": "that may occlude each other",
}


def _data(recipe: Air2DRecipe) -> str:
    shares = ", ".join(
        f"{count} ({100 * share:.0f} %)"
        for count, share in enumerate(recipe.data.count_probabilities)
        if share > 0
    )
    size, places = recipe.data.size, _PLACES[recipe.data.placement]
    return (
        f"Images of {size}×{size} pixels: {shares} {recipe.data.objects} {places}, at random places. "
        f"{recipe.data.origin} Labels and counts are not used in training."
    )


def scene_model_card(recipe: Air3DRecipe, document: ModelDocument) -> str:
    """Build the card of a 3D model: scenes, recipe, held-out figures and limits."""
    family = recipe.model.family
    kinds = ", ".join(family.kinds)
    sections = [
        f"# {recipe.name}\n",
        "Infers the objects in an image with their kinds, positions and orientations, and the camera; "
        f"model type `{document.kind}`, seed {recipe.seed}.\n",
        f"## Data\n\nScenes of the family `{family.kind}`, {family.image_size}×{family.image_size} pixels, "
        f"sampled in training, with noise of standard deviation {recipe.model.sigma:g}. Kinds: {kinds}.\n",
        f"## Held-out figures\n\nOn {recipe.evaluation.size:,} images with noise (stream "
        f"{recipe.evaluation.seed}), warned_share on the first 800 at most; errors modulo symmetry.\n\n"
        f"{_table(document.metrics)}",
        f"## Warning\n\n{_warning(document, _OBJECT_SUMMARY, 'newly sampled images')}",
        "## Limits\n\nOnly these kinds of objects, with the poses, table and cameras of the family. "
        "Photographs and other scenes were not in the training data.\n",
        f"## Recipe\n\n```yaml\n{recipe.to_yaml()}```\n",
        f"## Versions\n\n{', '.join(f'{name} {version}' for name, version in document.versions.items())}\n",
    ]
    return "\n".join(sections)


def adaptive_model_card(recipe: AdaptiveRecipe, document: ModelDocument) -> str:
    """Build the card of a sequence network: the problem, recipe and held-out figures."""
    sections = [
        f"# {recipe.name}\n",
        f"Answers sequences of the problem `{recipe.data.kind}` (Graves 2016) with a variable number of "
        f"steps per input; model type `{document.kind}`, seed {recipe.seed}.\n",
        f"## Held-out figures\n\nOn {recipe.evaluation.size:,} sequences (stream {recipe.evaluation.seed}). "
        "error: the share with any wrong answer; wrong_inputs and loss (nats): per input with a target; "
        f"steps: per input.\n\n{_table(document.metrics)}",
        f"## Recipe\n\n```yaml\n{recipe.to_yaml()}```\n",
        f"## Versions\n\n{', '.join(f'{name} {version}' for name, version in document.versions.items())}\n",
    ]
    return "\n".join(sections)


def residual_model_card(recipe: ResidualRecipe, document: ModelDocument) -> str:
    """Build the card of a residual network: data, recipe and held-out figures."""
    size = recipe.data.size
    sections = [
        f"# {recipe.name}\n",
        "Classifies the one object of an image, with a number of units that depends on the image position; "
        f"model type `{document.kind}`, blocks of kind `{recipe.model.block}`, seed {recipe.seed}.\n",
        f"## Data\n\nImages of {size}×{size} pixels, one of the {recipe.data.objects} at a random place. "
        f"{recipe.data.origin}\n",
        f"## Held-out figures\n\nOn {recipe.evaluation.size:,} images (stream {recipe.evaluation.seed}). "
        f"units_1 to 3: units that ran in each block, of {recipe.model.units}, mean over positions; "
        "active_share: share of the positions of all units that were computed; multiply_adds: per image.\n\n"
        f"{_table(document.metrics)}",
        f"## Recipe\n\n```yaml\n{recipe.to_yaml()}```\n",
        f"## Versions\n\n{', '.join(f'{name} {version}' for name, version in document.versions.items())}\n",
    ]
    return "\n".join(sections)


def _table(figures: dict[str, float]) -> str:
    lines = [f"| {name} | {value:.6g} |\n" for name, value in figures.items()]
    return "| figure | value |\n|---|---|\n" + "".join(lines)


_DIGIT_SUMMARY = "size, aspect, ink, edges, contrast and unexplained error"
_OBJECT_SUMMARY = "colours, their errors, unexplained error inside it, around it and elsewhere, and size"


def _warning(document: ModelDocument, summary: str, fitted_to: str) -> str:
    """The section on warnings.

    Args:
        summary: statistics of an object.
        fitted_to: images of the mixture.
    """
    known = document.familiarity
    if known is None:
        return "These weights give no warnings.\n"
    thresholds = {
        f"log-likelihood of the pixels, {count} objects": value
        for count, value in enumerate(known.log_likelihood, start=known.fewest)
    }
    thresholds["log-likelihood of an object's summary"] = known.summary_log_density
    fewer = " (for an image with no objects, the threshold for one)" if known.fewest else ""
    most = known.fewest + len(known.log_likelihood) - 1
    return (
        "An image is reported as unlike the training images when, at the posterior means, a log-likelihood "
        f"is below its threshold: that of the pixels given the inferred objects{fewer}, or that of any "
        f"object's summary ({summary}; mixture of {len(known.components)} Gaussians fitted to {fitted_to}). "
        f"More than {most} objects are always reported. Nats:\n\n" + _table(thresholds)
    )


def _limits(recipe: Air2DRecipe) -> str:
    background = recipe.data.background.kind
    ground = "black" if background == "black" else f"a background of kind `{background}`"
    return (
        f"Bright {recipe.data.objects} on {ground}, about as large as in the training images of "
        f"{recipe.data.size} pixels, at most {recipe.data.largest_count} of them. It does not classify them. "
        "Other placements, sizes and objects were not in the training data; the warning is meant for them, "
        "but does not detect all."
    )
