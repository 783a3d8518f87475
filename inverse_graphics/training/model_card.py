"""The model card: what a person should know before using weights."""

from __future__ import annotations

from inverse_graphics.models.weights import ModelDocument
from inverse_graphics.training.recipe import Recipe

_DIGITS = {
    "full": "the 60,000 training digits of MNIST; judged on images of its 10,000 test digits",
    "shipped": "the first 2,000 training digits of MNIST; judged on images of its first 1,000 test digits",
}


def model_card(recipe: Recipe, document: ModelDocument) -> str:
    """Markdown: data, recipe, held-out figures, warning thresholds and limits."""
    sections = [
        f"# {recipe.name}\n",
        f"Infers how many objects an image holds, and where; kind `{document.kind}`, seed {recipe.seed}.\n",
        f"## Data\n\n{_data(recipe)}\n",
        f"## Held-out figures\n\nOn {recipe.evaluation.size:,} images (stream {recipe.evaluation.seed}); "
        f"nats where they are not shares.\n\n{_table(document.metrics)}",
        f"## Warning\n\n{_warning(document)}",
        f"## Limits\n\n{_limits(recipe)}\n",
        f"## Recipe\n\n```yaml\n{recipe.to_yaml()}```\n",
        f"## Versions\n\n{', '.join(f'{name} {version}' for name, version in document.versions.items())}\n",
    ]
    return "\n".join(sections)


def _data(recipe: Recipe) -> str:
    shares = ", ".join(
        f"{count} ({100 * share:.0f} %)"
        for count, share in enumerate(recipe.data.count_probabilities)
        if share > 0
    )
    return (
        f"Multi-MNIST, {recipe.data.size}×{recipe.data.size} pixels: {shares} digits with disjoint tight "
        f"boxes, at random places. Digits: {_DIGITS[recipe.data.digits]}. Labels and counts are never "
        "learnt from."
    )


def _table(figures: dict[str, float]) -> str:
    lines = [f"| {name} | {value:.6g} |\n" for name, value in figures.items()]
    return "| figure | value |\n|---|---|\n" + "".join(lines)


def _warning(document: ModelDocument) -> str:
    if not document.warning:
        return "These weights give none.\n"
    return (
        "An image is reported as unlike the training images when its log-likelihood, at the posterior means, "
        "is below these thresholds, or when its count has none:\n\n" + _table(document.warning)
    )


def _limits(recipe: Recipe) -> str:
    return (
        f"Bright digits on black, about as large as MNIST's on a canvas of {recipe.data.size} pixels, at "
        f"most {recipe.data.largest_count} of them. It does not say which digit it saw. Touching or "
        "overlapping digits, other sizes and other things were not trained; the warning is there for them, "
        "and is not certain."
    )
