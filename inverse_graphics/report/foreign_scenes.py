"""Images that a model of scenes was never trained for, to see whether it says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from inverse_graphics.data.canvases import Canvases
from inverse_graphics.data.foreign_images import FOREIGN, SIDE, Images
from inverse_graphics.data.mnist import load_digits
from inverse_graphics.families.families import build_family
from inverse_graphics.families.single_object import SingleObjectSettings
from inverse_graphics.families.table_top import TableTopSettings
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.report.exam import ForeignImages
from inverse_graphics.report.familiar_scenes import generator_of, pictures
from inverse_graphics.scene.batch import ObjectBatch

FamilySettings = TableTopSettings | SingleObjectSettings

NOISE_AND_PHOTOGRAPHS = ("uniform noise", "Gaussian noise", "salt noise", "photograph")
OTHER_OBJECTS = {
    "primitives": ("primitives/cube", "primitives/sphere", "primitives/cylinder"),
    "crockery": ("crockery/bowl", "crockery/mug", "crockery/glass"),
}
"""By the name of their pack."""


def foreign_to(settings: FamilySettings) -> ForeignImages:
    """Kinds of images that are none of a family's: of other objects in its surroundings, and others."""
    others = {
        pack: kinds
        for pack, kinds in OTHER_OBJECTS.items()
        if not any(kind.startswith(f"{pack}/") for kind in settings.kinds)
    }
    return {
        **{pack: _other_objects(settings, kinds) for pack, kinds in others.items()},
        "digits": digits,
        "colour gradients": gradients,
        "one colour": blank,
        **{kind: FOREIGN[kind] for kind in NOISE_AND_PHOTOGRAPHS},
    }


def digits(count: int, generator: np.random.Generator) -> Images:
    """Several handwritten digits, white on black."""
    streams = Canvases(load_digits("test", "shipped"))
    return list(streams.fixed_set(count, int(generator.integers(2**31))).images)


def gradients(count: int, generator: np.random.Generator) -> Images:
    """One colour that turns into another from edge to edge, in any direction."""
    row, column = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / (SIDE - 1)
    images = []
    for _ in range(count):
        angle, ends = generator.uniform(0, 2 * np.pi), generator.random((2, 3), dtype=np.float32)
        along = row * np.sin(angle) + column * np.cos(angle)
        share = ((along - along.min()) / np.ptp(along))[..., None]
        images.append((ends[0] * (1 - share) + ends[1] * share).astype(np.float32))
    return images


def blank(count: int, generator: np.random.Generator) -> Images:
    """One colour, every other time a grey."""
    colours = generator.random((count, 3), dtype=np.float32)
    colours[::2] = colours[::2, :1]
    return [np.broadcast_to(colour, (SIDE, SIDE, 3)) for colour in colours]


def _other_objects(
    settings: FamilySettings, kinds: tuple[str, ...]
) -> Callable[[int, np.random.Generator], Images]:
    """Scenes of a family as they would be with other objects, at least one, standing as they should."""
    weights = getattr(settings, "count_weights", None)
    some = {} if weights is None else {"count_weights": (0.0, *weights[1:])}
    family = build_family(settings.model_copy(update={"kinds": kinds, **some}))

    def draw(count: int, generator: np.random.Generator) -> Images:
        scenes = family.sample(count, generator_of(int(generator.integers(2**31)))).scene
        if weights is not None:
            scenes = replace(scenes, objects=standing(scenes.objects, family.library))
        return pictures(scenes, family)

    return draw


def standing(objects: ObjectBatch, library: MeshLibrary) -> ObjectBatch:
    """Objects raised until their lowest points are where their origins were."""
    lowest = torch.stack(
        [library.vertices[a:b, 2].amin() for a, b in pairwise(library.first_vertex.tolist())]
    )
    raised = objects.position.clone()
    raised[..., 2] -= lowest[objects.asset.clamp(min=0)]
    return replace(objects, position=raised)
