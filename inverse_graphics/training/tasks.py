"""The training task of each recipe."""

from __future__ import annotations

from inverse_graphics.training.adaptive_task import build_adaptive_task
from inverse_graphics.training.air2d_task import build_air2d_task
from inverse_graphics.training.air3d_task import build_air3d_task
from inverse_graphics.training.recipe import (
    AdaptiveRecipe,
    Air2DRecipe,
    Air3DRecipe,
    Recipe,
    ResidualRecipe,
)
from inverse_graphics.training.residual_task import build_residual_task
from inverse_graphics.training.task import Task


def build_task(recipe: Recipe) -> Task:
    """Build the task of any recipe.

    Raises:
        DataError: data is missing and cannot be fetched.
        RecipeError: the data has more classes than the network.
        AssetError, EngineError, SceneError: a requirement of the scenes is missing here, or does not fit.
    """
    if isinstance(recipe, Air2DRecipe):
        return build_air2d_task(recipe)
    if isinstance(recipe, Air3DRecipe):
        return build_air3d_task(recipe)
    if isinstance(recipe, AdaptiveRecipe):
        return build_adaptive_task(recipe)
    if isinstance(recipe, ResidualRecipe):
        return build_residual_task(recipe)
    raise TypeError(f"no task is known for a {type(recipe).__name__}")
