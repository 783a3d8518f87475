"""`inverse-graphics infer`."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inverse_graphics.errors import StorageError

from .application import ReadableImages
from .options import Device, Images, JsonLines, Model, ModelPacks, loaded_packs, named
from .streams import STDOUT, advancing, console, json_lines, notify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inverse_graphics.inference.parse import Parse
    from inverse_graphics.packs.pack import Pack

EXAMPLES = """\
inverse-graphics infer table.png
inverse-graphics infer table.png --overlay seen.png
inverse-graphics infer images/ --json - | jq .count
inverse-graphics infer images/*.png --json parses.jsonl --overlay seen/
inverse-graphics infer table.png --scenes scenes/ && inverse-graphics render scenes/table.yaml -o again.png
inverse-graphics infer digits.png --model multi_mnist
inverse-graphics infer digits.png --model runs/multi_mnist-seed0/weights"""


def infer(
    images: Images,
    model: Model = None,
    json: JsonLines = None,
    overlay: Annotated[
        Path | None,
        named(
            "FILE|DIR",
            "Draw the inferred objects over the images, one file per image in DIR or all in FILE: outlines, "
            "names and reconstruction; for 2D models, boxes numbered by step.",
        ),
    ] = None,
    scenes: Annotated[
        Path | None, named("DIR", "Write each inferred scene to a file that `render` accepts (3D models).")
    ] = None,
    write: Annotated[
        list[str] | None,
        named("NAME=PATH", "Write results in a format: json, scenes or overlay; may be repeated."),
    ] = None,
    device: Device = "cpu",
    packs: ModelPacks = None,
) -> None:
    """Infer the number, kinds and poses of the objects in images.

    Accepts PNG, JPEG, BMP and WebP; transparent pixels are treated as black. An image that cannot be read is
    reported on stderr, the others are still processed, and the exit status is 1.
    """
    from inverse_graphics.io.images import expand_images

    paths = expand_images(images)
    readable = ReadableImages(paths)
    pairs = ((str(path), image) for path, image in readable)
    first = next(pairs, None)  # fails before a model is loaded, which takes a second
    if first is not None:
        shorthands = [("overlay", overlay), ("scenes", scenes)]
        writers = [(name, target) for name, target in shorthands if target] + _parsed_writers(write or [])
        _check_targets(paths, [*writers, ("json", Path(json or STDOUT))])
        _infer_all(chain([first], pairs), paths, model, json, writers, device, loaded_packs(packs))
    readable.exit_if_failed()


def _infer_all(
    images: Iterable[tuple[str, NDArray[np.float32]]],
    paths: list[Path],
    model: str | None,
    json: str | None,
    writers: Sequence[tuple[str, Path]],
    device: str,
    packs: Sequence[Pack],
) -> None:
    from inverse_graphics.inference.parser import load_parser
    from inverse_graphics.interchange.writers import open_writer
    from inverse_graphics.visualisation.parse_table import ParseLines

    with ExitStack() as stack:
        write = [stack.enter_context(open_writer(name, target, len(paths))) for name, target in writers]
        file = stack.enter_context(json_lines(json) if json else nullcontext())
        parser = load_parser(model, device, packs)
        if model is None:
            notify(f"model: {parser.name}, the default (--model chooses another)")
        lines = ParseLines([str(path) for path in paths]) if json != STDOUT else None
        out = console()
        if lines:
            out.print(lines.header(), style="bold", soft_wrap=True)
        for parse in _with_progress(parser.parse_stream(images), len(paths)):
            if lines:
                out.print(lines.line(parse), markup=False, soft_wrap=True)
            if file:
                file.write(json_format.dumps(parse.to_json(), allow_nan=False) + "\n")
            for write_parse in write:
                write_parse(parse)


def _check_targets(images: Sequence[Path], writers: Sequence[tuple[str, Path]]) -> None:
    """Refuse outputs that would replace an input image.

    Raises:
        StorageError: an output is an input image, or overlays would go to the folder of input images.
    """
    given = [image.resolve() for image in images]
    folders = {image.parent for image in given if image.suffix.lower() == ".png"}
    for name, target in writers:
        if target.resolve() in given or (name == "overlay" and target.resolve() in folders):
            raise StorageError(f"{target} would replace input images: expected another file or folder")


def _parsed_writers(texts: Sequence[str]) -> list[tuple[str, Path]]:
    """Parse values of --write such as "scenes=out/"."""
    parts = [text.partition("=") for text in texts]
    if wrong := [text for text, (name, _, path) in zip(texts, parts, strict=True) if not name or not path]:
        raise typer.BadParameter(f"got {wrong[0]!r}, expected NAME=PATH", param_hint="--write")
    return [(name, Path(path)) for name, _, path in parts]


def _with_progress(parses: Iterator[Parse], total: int) -> Iterator[Parse]:
    """Show progress on stderr unless the results themselves appear on a terminal."""
    if total == 1 or sys.stdout.isatty():
        yield from parses
        return
    with advancing("inferring", total) as advance:
        for done, parse in enumerate(parses, start=1):
            advance(done)
            yield parse
