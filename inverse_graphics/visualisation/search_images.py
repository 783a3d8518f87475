"""Output files of scene search: for each image a scene file, an overlay and an animation of the search."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inverse_graphics.inference.parse import Parse
from inverse_graphics.interchange.writers import SceneFolder
from inverse_graphics.io.files import FileNames, atomic_write
from inverse_graphics.io.images import save, to_bytes
from inverse_graphics.models.air3d.scene_latents import draw_scenes
from inverse_graphics.optimisation.optimiser import OptimiseResult
from inverse_graphics.optimisation.search import SceneSearch
from inverse_graphics.optimisation.trace import Optimised
from inverse_graphics.visualisation.overlay import draw_parse

FRAMES = 40
"""Largest number of frames of an animation; denser at the beginning, where the scene changes faster."""
SIDE, CAPTION, GAP = 256, 22, 6
FRAME_MS, LAST_MS = 120, 2000


def draw_search(image: NDArray[np.float32], parse: Parse) -> Image.Image:
    """Draw side by side the image, the image with outlines, and the rendered result.

    Args:
        image: (H, W, 3) in [0, 1], the input of the search.
        parse: the result.
    """
    found = draw_parse(image, parse)
    factor = found.height // image.shape[0]
    plain = Image.fromarray(to_bytes(image))
    plain = plain.resize((plain.width * factor, plain.height * factor), Image.Resampling.NEAREST)
    return _beside(plain, found)


def write_animation(file: Path, parse: Parse, found: Optimised, search: SceneSearch) -> None:
    """Write an animated GIF of the image beside the scene at successive steps of the best restart.

    Raises:
        StorageError: the file cannot be written.
    """
    steps = frame_steps(len(found.path))
    winner = found.winners[:1]
    with torch.inference_mode():
        drawn = [draw_scenes(found.path[step][winner], search.space, search.engine).rgb[0] for step in steps]
    renders = [render.clamp(0, 1).permute(1, 2, 0).numpy() for render in drawn]
    frames = [
        _frame(parse.observation, render, f"step {step}: log p(x, scene) = {value:,.0f}")
        for step, render, value in zip(
            steps, renders, found.history[0, int(winner), list(steps)].tolist(), strict=True
        )
    ]
    frames.append(
        _frame(parse.observation, parse.reconstruction, f"best: {float(found.best.log_joint):,.0f}")
    )
    encoded = io.BytesIO()
    lasting = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    frames[0].save(
        encoded, "GIF", save_all=True, append_images=frames[1:], duration=lasting, loop=0, disposal=1
    )
    with atomic_write(file) as opened:
        opened.write(encoded.getvalue())


def frame_steps(length: int, frames: int = FRAMES) -> Sequence[int]:
    """Choose at most `frames` of `length` steps, including the first and the last, denser at the start."""
    places = np.linspace(0, 1, min(frames, length)) ** 1.5
    return sorted({round(float(place) * (length - 1)) for place in places})


def _frame(image: NDArray[np.float32], render: NDArray[np.float32], caption: str) -> Image.Image:
    factor = max(1, math.ceil(SIDE / image.shape[0]))
    sides = [
        Image.fromarray(to_bytes(one)).resize(
            (one.shape[1] * factor, one.shape[0] * factor), Image.Resampling.NEAREST
        )
        for one in (image, render)
    ]
    both = _beside(*sides)
    frame = Image.new("RGB", (both.width, both.height + CAPTION), "white")
    frame.paste(both, (0, 0))
    ImageDraw.Draw(frame).text((4, both.height + 4), caption, fill="#222222", font=ImageFont.load_default(13))
    return frame.quantize(128)


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + GAP + right.width, max(left.height, right.height)), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + GAP, 0))
    return both


class SearchFolder:
    """Writes NAME.yaml, NAME.png and NAME.gif for each image NAME.

    Raises:
        StorageError: the folder or a file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._write_scene = SceneFolder(folder)
        self._overlays, self._animations = FileNames(folder, ".png"), FileNames(folder, ".gif")

    def __call__(self, image: NDArray[np.float32], found: OptimiseResult, search: SceneSearch) -> None:
        """Write the files of one image.

        Args:
            image: (H, W, 3) in [0, 1], the input of the search.
            found: the result.
            search: the search that produced it.
        """
        parse = found.parse
        self._write_scene(parse)
        save(self._overlays.path_for(parse.image), draw_search(image, parse))
        write_animation(self._animations.path_for(parse.image), parse, found.search, search)
