"""`inverse-graphics render`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .application import answer
from .options import Engine, Json, Packs, loaded_packs, named, number, parsed_size
from .streams import notify

if TYPE_CHECKING:
    from inverse_graphics.rendering.rendered_scene import RenderedScene

EXAMPLES = """\
inverse-graphics render breakfast -o breakfast.png
inverse-graphics render my_scene.yaml -o out.png --depth depth.png --mask mask.png
inverse-graphics render breakfast -o large.png --size 1280x960
inverse-graphics render breakfast -o small.png --size 64x48 --supersample 3
inverse-graphics render breakfast -o shadows.png --engine mujoco-shadows
inverse-graphics render my_scene.yaml -o out.png --pack my_pack/ --json -"""


def render(
    scene: Annotated[
        str, typer.Argument(metavar="SCENE", help="A scene's YAML or JSON file, or a shipped scene's name.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Output image: PNG, JPEG, BMP or WebP.")
    ],
    depth: Annotated[Path | None, named("FILE", "Output depth: 16-bit PNG, mm, 0 for none.")] = None,
    depth_preview: Annotated[
        Path | None, named("FILE", "Output depth as a colour image, near bright, far dark.")
    ] = None,
    mask: Annotated[
        Path | None,
        named("FILE", "Output mask: palette PNG, 0 for background, else the object's number from 1."),
    ] = None,
    size: Annotated[
        str | None, named("WxH", "Image size in pixels; the vertical field of view is unchanged.")
    ] = None,
    engine: Engine = "embedded",
    supersample: Annotated[int, number("Samples per pixel along each axis; default 1.", 1, 16)] = 1,
    packs: Packs = None,
    json: Json = None,
) -> None:
    """Render a scene: its image and, optionally, depth and instance mask.

    Objects that float, sink into the table or intersect are reported on stderr. The JSON contains these
    warnings, the camera, and the number of visible pixels of each object.
    """
    from inverse_graphics.errors import SceneWarning
    from inverse_graphics.io.images import write_depth, write_image, write_mask
    from inverse_graphics.rendering.rendered_scene import render as render_scene
    from inverse_graphics.visualisation.svg import depth_colours

    pixels = None if size is None else parsed_size(size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)  # they are printed below, one line each
        drawn = render_scene(scene, engine, size=pixels, packs=loaded_packs(packs), supersample=supersample)
    for warning in drawn.warnings:
        notify(f"warning: {warning}")
    drawn.save(out)
    if depth is not None:
        write_depth(depth, drawn.depth)
    if depth_preview is not None:
        write_image(depth_preview, depth_colours(drawn.depth))
    if mask is not None:
        write_mask(mask, drawn.mask)
    written = ", ".join(str(file) for file in (out, depth, depth_preview, mask) if file)
    answer(_facts(Path(scene).stem, drawn), json, lambda: notify(f"wrote {written}"))


def _facts(name: str, drawn: RenderedScene) -> dict[str, Any]:
    camera = drawn.scene.camera
    return {
        "scene": name,
        "width": camera.width_px,
        "height": camera.height_px,
        "camera": {"K": camera.K, "T_world_camera": camera.T_world_camera},
        "warnings": list(drawn.warnings),
        "objects": [
            {"asset": placed.asset, "mask": number, "visible_px": pixels, "box_px": drawn.box(number)}
            for number, (placed, pixels) in enumerate(
                zip(drawn.scene.objects, drawn.visible_pixels(), strict=True), start=1
            )
        ],
    }
