"""The model card: what a person should know before using weights."""

from __future__ import annotations

from inverse_graphics.data.multi_object import GlyphPlacement
from inverse_graphics.models.weights import ModelDocument
from inverse_graphics.training.recipe import AdaptiveRecipe, Air2DRecipe, Air3DRecipe, ResidualRecipe


def model_card(recipe: Air2DRecipe, document: ModelDocument) -> str:
    """Markdown: data, recipe, held-out figures, warning thresholds and limits."""
    sections = [
        f"# {recipe.name}\n",
        f"Infers how many objects an image holds, and where; kind `{document.kind}`, seed {recipe.seed}.\n",
        f"## Data\n\n{_data(recipe)}\n",
        f"## Held-out figures\n\nOn {recipe.evaluation.size:,} images (stream {recipe.evaluation.seed}); "
        f"nats where they are not shares.\n\n{_table(document.metrics)}",
        f"## Warning\n\n{_warning(document, _DIGIT_SUMMARY, 'training images')}",
        f"## Limits\n\n{_limits(recipe)}\n",
        f"## Air2DRecipe\n\n```yaml\n{recipe.to_yaml()}```\n",
        f"## Versions\n\n{', '.join(f'{name} {version}' for name, version in document.versions.items())}\n",
    ]
    return "\n".join(sections)


_PLACES: dict[GlyphPlacement, str] = {
    "disjoint": "with disjoint tight boxes",
    "adding": "whose boxes may overlap",
    "overlapping": "that may hide each other",
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
        f"{recipe.data.origin} Labels and counts are never learnt from."
    )


def scene_model_card(recipe: Air3DRecipe, document: ModelDocument) -> str:
    """Markdown: scenes, recipe, held-out figures and limits."""
    family = recipe.model.family
    kinds = ", ".join(family.kinds)
    sections = [
        f"# {recipe.name}\n",
        "Infers how many objects an image holds, which, where and how turned, and from where it was seen; "
        f"kind `{document.kind}`, seed {recipe.seed}.\n",
        f"## Data\n\nScenes of the family `{family.kind}`, {family.image_size}×{family.image_size} pixels, "
        f"drawn on the fly with noise of standard deviation {recipe.model.sigma:g}. Objects: {kinds}.\n",
        f"## Held-out figures\n\nOn {recipe.evaluation.size:,} images with noise (stream "
        f"{recipe.evaluation.seed}); errors modulo symmetry.\n\n{_table(document.metrics)}",
        f"## Warning\n\n{_warning(document, _OBJECT_SUMMARY, 'fresh images')}",
        "## Limits\n\nThese kinds of objects alone, standing as the family says, on its table, before its "
        "cameras. Photographs and other scenes were not trained.\n",
        f"## Recipe\n\n```yaml\n{recipe.to_yaml()}```\n",
        f"## Versions\n\n{', '.join(f'{name} {version}' for name, version in document.versions.items())}\n",
    ]
    return "\n".join(sections)


def adaptive_model_card(recipe: AdaptiveRecipe, document: ModelDocument) -> str:
    """Markdown: the problem, recipe and held-out figures."""
    sections = [
        f"# {recipe.name}\n",
        f"Answers sequences of the problem `{recipe.data.kind}` (Graves 2016) and decides how long to think "
        f"about each input; kind `{document.kind}`, seed {recipe.seed}.\n",
        f"## Held-out figures\n\nOn {recipe.evaluation.size:,} sequences (stream {recipe.evaluation.seed}). "
        "error: the share with any wrong answer; wrong_inputs and loss (nats): for each input that is asked "
        f"about; steps: for each input.\n\n{_table(document.metrics)}",
        f"## Recipe\n\n```yaml\n{recipe.to_yaml()}```\n",
        f"## Versions\n\n{', '.join(f'{name} {version}' for name, version in document.versions.items())}\n",
    ]
    return "\n".join(sections)


def residual_model_card(recipe: ResidualRecipe, document: ModelDocument) -> str:
    """Markdown: data, recipe and held-out figures."""
    size = recipe.data.size
    sections = [
        f"# {recipe.name}\n",
        "Classifies the one object of an image and decides at which places to look longer; kind "
        f"`{document.kind}`, blocks of kind `{recipe.model.block}`, seed {recipe.seed}.\n",
        f"## Data\n\nImages of {size}×{size} pixels, one of the {recipe.data.objects} at a random place. "
        f"{recipe.data.origin}\n",
        f"## Held-out figures\n\nOn {recipe.evaluation.size:,} images (stream {recipe.evaluation.seed}). "
        f"units_1 to 3: units of each block, of {recipe.model.units}, in the mean over positions; "
        "active_share: of all positions of all units; multiply_adds: of an image, where units ran.\n\n"
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
    """summary: what the numbers about each object are.  fitted_to: what their mixture is."""
    known = document.familiarity
    if known is None:
        return "These weights give none.\n"
    thresholds = {
        f"log-likelihood of the pixels, {count} found": value
        for count, value in enumerate(known.log_likelihood, start=known.fewest)
    }
    thresholds["log-likelihood of an object's summary"] = known.summary_log_density
    fewer = " (an image with no objects by the threshold for one)" if known.fewest else ""
    most = known.fewest + len(known.log_likelihood) - 1
    return (
        "An image is reported as unlike the training images when, at the posterior means, a log-likelihood "
        f"is below its threshold: that of the pixels given what was found{fewer}, or that of any object's "
        f"summary ({summary}; a mixture of {len(known.components)} Gaussians fitted to {fitted_to}). "
        f"More than {most} objects are always reported. Nats:\n\n" + _table(thresholds)
    )


def _limits(recipe: Air2DRecipe) -> str:
    background = recipe.data.background.kind
    ground = "black" if background == "black" else f"a background of kind `{background}`"
    return (
        f"Bright {recipe.data.objects} on {ground}, about as large as in the training images of "
        f"{recipe.data.size} pixels, at most {recipe.data.largest_count} of them. It does not say which of "
        "them it saw. Other placements, other sizes and other things were not trained; the warning is there "
        "for them, and is not certain."
    )
