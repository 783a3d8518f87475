"""Evaluation of 3D models on new scenes of their own family: objects, poses, camera, calibration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from inverse_graphics.devices import resolve_device
from inverse_graphics.errors import ModelError
from inverse_graphics.evaluation.scene_images import InDistributionScenes
from inverse_graphics.families.family import SceneFamily
from inverse_graphics.geometry.transforms import angle_between
from inverse_graphics.metrics.count_metrics import Calibration, count_calibration
from inverse_graphics.metrics.figure import Figure
from inverse_graphics.metrics.object_errors import matched_slots
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.metrics.scene_metrics import evaluate_scenes
from inverse_graphics.models.air3d.inference import SceneReading, read_scenes
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.weights import LoadedModel
from inverse_graphics.packs.symmetry import symmetric_angle
from inverse_graphics.scene.batch import SceneBatch

BATCH_SIZE = 100
"""Images per forward pass."""
MATCH_DISTANCE_M = 0.1
"""The largest distance at which an inferred object matches a true one."""
INTERVALS = {50: 0.6745, 90: 1.6449}
"""Half widths of central intervals of a normal distribution, in standard deviations, by probability in %."""


@torch.no_grad()
def evaluate3d(
    model: LoadedModel,
    images: int,
    seed: int = 0,
    device: str | torch.device = "cpu",
    advance: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Evaluate a 3D model on noisy images of newly sampled scenes of its family.

    Args:
        model: the model.
        images: number of images.
        seed: of the scenes and of the noise; no training scene has the random numbers of any seed.
        device: where the network runs.
        advance: called with the number of images done.

    Returns:
        Serialisable as JSON: `figures`, each with unit and denominator; `constant_guess`, for some of them
        the value that the best constant answer reaches on the same images; the confusion of counts; and
        calibration.

    Raises:
        ModelError: it is not a 3D model.
        DeviceError: this machine has no such device.
        SceneError: objects of a scene do not fit side by side.

    """
    if not isinstance(model.module, Air3D):
        raise ModelError(f"model '{model.name}' is of type '{model.document.kind}', expected a 3D model")
    known = InDistributionScenes.from_document(model.document)
    network = model.module.to(resolve_device(device))
    scenes, readings = known.sample(images, seed), []
    for first in range(0, images, BATCH_SIZE):
        block = scenes[first : first + BATCH_SIZE]
        observation = known.observe(block, seed + 1_000_003 * (first + 1))
        reading = read_scenes(network, observation.to(network.space.reach.device))
        readings.append(reading.replace(prefixes=reading.prefixes[:, :0]).to("cpu"))
        advance(first + len(block))
    return _figures(network.to("cpu"), known.family, scenes, SceneReading.cat(readings), seed)


def _figures(
    network: Air3D, family: SceneFamily, scenes: SceneBatch, reading: SceneReading, seed: int
) -> dict[str, Any]:
    truth = PredictedScenes.from_batch(scenes)
    predicted = PredictedScenes.from_batch(network.space.scene(reading.scenes))
    metrics = evaluate_scenes(
        predicted,
        truth,
        family.symmetries,
        family.kinds,
        MATCH_DISTANCE_M,
        visible_width_m=family.visible_width_m,
    )
    slots = matched_slots(predicted.to_float64(), truth.to_float64(), MATCH_DISTANCE_M)
    counts = count_calibration(reading.count_probabilities.numpy(), truth.count.numpy())
    return {
        "images": len(truth.count),
        "seed": seed,
        "family": family.settings.kind,
        **metrics.to_json(),
        "constant_guess": constant_guess(truth, family),
        "calibration": {
            "counts": _calibration(counts),
            "kinds": _calibration(_kind_calibration(reading, truth, slots)),
            "positions": _intervals(network, reading, scenes, slots),
        },
    }


def constant_guess(truth: PredictedScenes, family: SceneFamily) -> dict[str, float]:
    """Compute what the best constant answers reach, by names of `SceneMetrics`.

    These are the most frequent count and kind, the median place of all objects, one orientation, and the
    camera in the middle of those that occur.

    Args:
        truth: B true scenes.
        family: of these scenes.
    """
    truth = truth.to_float64()
    there = truth.asset >= 0
    kind, position, rotation = truth.asset[there], truth.position[there], truth.rotation[there]
    extent = family.extent
    middle = family.cameras((extent.orbit_low + extent.orbit_high)[None] / 2, extent.K[None])
    camera, pose = middle.T_world_camera.double(), truth.T_world_camera
    upright = torch.eye(3).double()
    angles = {
        family.kinds[index]: torch.rad2deg(symmetric_angle(upright, rotation[kind == index], symmetry))
        for index, symmetry in enumerate(family.symmetries)
        if not symmetry.spherical
    }
    direction = torch.rad2deg(angle_between(camera[:, :3, 2], pose[:, :3, 2]))
    named = [
        ("position_error_m", (position - _median(position)).norm(dim=-1), "m"),
        ("rotation_error_deg", torch.cat([position.new_zeros(0), *angles.values()]), "deg"),
        *((f"rotation_error_deg/{name}", angle, "deg") for name, angle in angles.items()),
        ("camera_direction_error_deg", direction, "deg"),
        ("camera_position_error_m", (camera[:, :3, 3] - pose[:, :3, 3]).norm(dim=-1), "m"),
    ]
    right = kind == _most_frequent(kind)
    guesses = [
        Figure.share("count_accuracy", "", truth.count == _most_frequent(truth.count), ""),
        Figure.share("identity_of_matched", "", right, ""),
        Figure.share("identity_of_all", "", right, ""),
    ]
    for name, errors, unit in named:
        guesses += Figure.quantiles(name, "", errors, unit, "")
    return {guess.name: guess.value for guess in guesses if guess.value is not None}


def _most_frequent(numbers: Tensor) -> int:
    return int(torch.bincount(numbers).argmax()) if len(numbers) else 0


def _median(positions: Tensor) -> Tensor:
    return positions.median(dim=0).values if len(positions) else positions.new_zeros(3)


def _kind_calibration(reading: SceneReading, truth: PredictedScenes, slots: Tensor) -> Calibration:
    """Of the probabilities of the kinds of matched objects."""
    image, slot = (slots >= 0).nonzero(as_tuple=True)
    partner = slots[image, slot]
    right = reading.scenes.asset[image, partner] == truth.asset[image, slot]
    stated = reading.identity_probability[image, partner].double()
    return count_calibration(torch.stack([1 - stated, stated], 1).numpy(), right.long().numpy())


def _intervals(
    network: Air3D, reading: SceneReading, scenes: SceneBatch, slots: Tensor
) -> dict[str, dict[str, Any]]:
    """How often the stated intervals of the coordinates of matched objects contain the truth."""
    image, slot = (slots >= 0).nonzero(as_tuple=True)
    partner = slots[image, slot]
    true = network.space.plane(scenes.objects.position[image, slot])
    error = (reading.scenes.position[image, partner] - true).abs()
    scaled = (error / reading.position_std[image, partner]).flatten()
    of = "coordinates of matched objects"
    figures = [
        Figure.share(f"position_interval_{percent}", f"within {percent} % intervals", scaled <= width, of)
        for percent, width in INTERVALS.items()
    ]
    return {figure.name: figure.to_json() for figure in figures}


def _calibration(of: Calibration) -> dict[str, Any]:
    return {"error": of.error, "log_score": of.log_score, "bins": [part._asdict() for part in of.bins]}
