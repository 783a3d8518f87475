"""Pictures of the objects in asset packs: contact sheets with rulers, turntables and thumbnails."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial.transform import Rotation

from inverse_graphics.io.files import atomic_write
from inverse_graphics.io.images import save, to_bytes
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.packs.pack import ObjectSpec, Pack, RestingPose
from inverse_graphics.packs.resting_poses import UPRIGHT
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, make_engine, with_samples
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Background, Camera, Light, Scene, SceneObject, Table
from inverse_graphics.visualisation.asset_facts import facts_of_asset

ANIMATIONS = {".gif": "GIF", ".webp": "WEBP"}
FRAMES, FRAME_MILLISECONDS = 30, 100
SHEET_VIEWS = 8
FIELD_OF_VIEW = 4.0
"""Degrees: from so far away that a ruler holds for near and far parts alike."""
ELEVATION, AZIMUTH = 25.0, -60.0
_LIGHT = Light(direction=(0.1, -0.75, 0.65), diffuse=(0.6, 0.6, 0.6), ambient=(0.42, 0.42, 0.42))
_BACKGROUND, _GROUND = (0.86, 0.88, 0.9), (0.76, 0.78, 0.8)
_INK, _FAINT, _PAPER = "#15181c", "#59616b", "#ffffff"
_AXES = {"x": "#d62728", "y": "#188a2c", "z": "#1f5fd6"}
_CELL, _THUMBNAIL = 300, 128
_COLUMNS = 4


@dataclass(frozen=True)
class ObjectView:
    """An object in one pose, seen from all around at one scale.

    Attributes:
        mesh: The object.
        pose: In which it rests.
        side: Height and width of images, pixels.
        samples: Per pixel along each axis.
    """

    mesh: Mesh
    pose: RestingPose = UPRIGHT
    side: int = _CELL
    samples: int = 3

    def images(self, azimuths: Sequence[float]) -> list[Image.Image]:
        """Render it from directions, degrees about the vertical, with a light beside the viewer."""
        camera = self._camera(AZIMUTH)
        library = MeshLibrary.from_meshes([("pack/object", self.mesh)])
        engine = with_samples(make_engine(DEFAULT_ENGINE, library), self.samples)
        scenes = [self._scene(azimuth - AZIMUTH, camera) for azimuth in azimuths]
        images = []
        with torch.inference_mode():
            for scene in scenes:
                image = render(SceneBatch.from_scenes([scene], library), engine).image[0]
                images.append(Image.fromarray(to_bytes(image.permute(1, 2, 0).numpy())))
        return images

    def pixels_per_cm(self) -> float:
        """The scale of the images at the object's centre."""
        return self.side / 2 / (100 * self._distance() * math.tan(math.radians(FIELD_OF_VIEW / 2)))

    def axes(self, azimuth: float) -> dict[str, tuple[tuple[float, float], tuple[float, float]]]:
        """Where the object's axes, half its size long, begin and end in an image, pixels."""
        rotation = self._rotation(azimuth - AZIMUTH)
        origin = rotation.as_matrix() @ np.zeros(3) + self._position(rotation)
        ends = origin + 0.9 * self._radius() * rotation.as_matrix().T
        start, *tips = self._projected(np.stack([origin, *ends]))
        return {name: (start, tip) for name, tip in zip(_AXES, tips, strict=True)}

    def _rotation(self, yaw_degrees: float) -> Rotation:
        yaw = Rotation.from_euler("z", -yaw_degrees, degrees=True)
        return yaw * Rotation.from_quat(self.pose.quaternion_xyzw)

    def _position(self, rotation: Rotation) -> NDArray[np.float64]:
        """Of the origin, for which the object rests on the table and does not leave its place as it turns."""
        resting = Rotation.from_quat(self.pose.quaternion_xyzw).apply(self.mesh.vertices)
        middle = (resting.min(axis=0) + resting.max(axis=0)) / 2
        centre = (rotation * Rotation.from_quat(self.pose.quaternion_xyzw).inv()).apply(middle)
        position: NDArray[np.float64] = -centre
        position[2] = -resting[:, 2].min()
        return position

    def _scene(self, yaw_degrees: float, camera: Camera) -> Scene:
        rotation = self._rotation(yaw_degrees)
        x, y, z = self._position(rotation).tolist()
        placed = SceneObject(
            asset="pack/object", position_m=(x, y, z), quaternion_xyzw=tuple(rotation.as_quat().tolist())
        )
        ground = 2.3 * self._radius()
        return Scene(
            camera=camera,
            objects=(placed,),
            light=_LIGHT,
            table=Table(size_m=(ground, ground), colour=_GROUND),
            background=Background(colour=_BACKGROUND),
        )

    def _camera(self, azimuth: float) -> Camera:
        height = np.ptp(Rotation.from_quat(self.pose.quaternion_xyzw).apply(self.mesh.vertices)[:, 2])
        orbit = {
            "azimuth_degrees": azimuth,
            "elevation_degrees": ELEVATION,
            "distance_m": self._distance(),
            "target_m": (0.0, 0.0, float(height) / 2),
            "field_of_view_degrees": FIELD_OF_VIEW,
        }
        return Camera.model_validate({"width_px": self.side, "height_px": self.side, "orbit": orbit})

    def _distance(self) -> float:
        return 1.12 * self._radius() / math.tan(math.radians(FIELD_OF_VIEW / 2))

    def _radius(self) -> float:
        """Of the ball about the middle of the bounding box that holds the object in its pose, metres."""
        resting = Rotation.from_quat(self.pose.quaternion_xyzw).apply(self.mesh.vertices)
        middle = (resting.min(axis=0) + resting.max(axis=0)) / 2
        return max(float(np.linalg.norm(resting - middle, axis=1).max()), 1e-4)

    def _projected(self, points: NDArray[np.float64]) -> list[tuple[float, float]]:
        camera = self._camera(AZIMUTH)
        pose = np.array(camera.T_world_camera)
        seen = (points - pose[:3, 3]) @ pose[:3, :3] @ np.array(camera.K).T
        return [(float(x / z), float(y / z)) for x, y, z in seen]


def write_contact_sheet(pack: Pack, path: Path | str, thumbnails: Path | None = None) -> None:
    """Draw all objects of a pack, each with its name, its size and a ruler.

    Args:
        pack: The pack, whose objects can all be read.
        path: The sheet's file: .png, .jpg, .bmp or .webp.
        thumbnails: A folder for a small picture of each object, or None for none.

    Raises:
        AssetError: An object cannot be read.
        StorageError: A file cannot be written.
    """
    cells = []
    for name, spec in pack.manifest.objects.items():
        view = ObjectView(pack.mesh(name))
        picture = view.images([AZIMUTH])[0]
        if thumbnails is not None:
            thumbnails.mkdir(exist_ok=True)
            save(
                thumbnails / f"{name}.png", picture.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
            )
        picture = _with_ruler(picture, view.pixels_per_cm())
        cells.append(_captioned(picture, [name, *_caption(pack, name, spec)]))
    save(path, _grid(cells, min(_COLUMNS, len(cells)), title=_title(pack)))


def write_turntable(pack: Pack, asset: str, path: Path | str) -> None:
    """Draw an object from all around, and each of its resting poses.

    Args:
        pack: The object's pack.
        asset: "mug" or "pack/mug".
        path: An animation if it ends in .gif or .webp; a sheet of views for .png, .jpg or .bmp.

    Raises:
        AssetError: No such object, or it cannot be read.
        ImageError: The suffix names no known format.
        StorageError: The file cannot be written.
    """
    path, name = Path(path), asset.removeprefix(f"{pack.name}/")
    mesh, spec = pack.mesh(name), pack.manifest.objects[name]
    title = [f"{pack.name}/{name}", *_caption(pack, name, spec)]
    poses = _grid([_pose_cell(mesh, pose) for pose in spec.resting_poses or (UPRIGHT,)], 4)
    if path.suffix.lower() not in ANIMATIONS:
        view = ObjectView(mesh)
        azimuths = [AZIMUTH + 360 / SHEET_VIEWS * step for step in range(SHEET_VIEWS)]
        cells = []
        for step, picture in enumerate(view.images(azimuths)):
            _draw_axes(picture, view, azimuths[step])
            ruled = _with_ruler(picture, view.pixels_per_cm())
            cells.append(_captioned(ruled, [f"{360 * step // SHEET_VIEWS}°"]))
        sheet = _stacked([_heading(title, mesh), _grid(cells, _COLUMNS), _heading(["resting poses"]), poses])
        save(path, sheet)
        return
    view = ObjectView(mesh, side=400, samples=2)
    azimuths = [AZIMUTH + 360 / FRAMES * step for step in range(FRAMES)]
    frames = []
    for azimuth, picture in zip(azimuths, view.images(azimuths), strict=True):
        _draw_axes(picture, view, azimuth)
        ruled = _with_ruler(picture, view.pixels_per_cm())
        frames.append(_stacked([_heading(title, mesh), ruled, _heading(["resting poses"]), poses]))
    _save_animation(path, frames)


def _save_animation(path: Path, frames: list[Image.Image]) -> None:
    if path.suffix.lower() == ".gif":  # one palette for all frames, so that nothing flickers
        palette = frames[0].quantize(255, method=Image.Quantize.MEDIANCUT)
        frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    encoded = io.BytesIO()
    frames[0].save(
        encoded,
        format=ANIMATIONS[path.suffix.lower()],
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MILLISECONDS,
        loop=0,
    )
    with atomic_write(path) as file:
        file.write(encoded.getvalue())


def _pose_cell(mesh: Mesh, pose: RestingPose) -> Image.Image:
    view = ObjectView(mesh, pose, side=200)
    picture = view.images([AZIMUTH])[0]
    _draw_axes(picture, view, AZIMUTH)
    upright = Rotation.from_quat(pose.quaternion_xyzw).as_matrix()[2, 2] > 1 - 1e-6
    return _captioned(picture, [f"{100 * pose.probability:.0f} %{', upright' if upright else ''}"])


# Pillow's font has no multiplication sign
def _caption(pack: Pack, name: str, spec: ObjectSpec) -> list[str]:
    facts = facts_of_asset(pack, name)
    size = " x ".join(_centimetres(side) for side in facts.size_m)
    poses = len(spec.resting_poses)
    return [
        f"{size} cm",
        f"{facts.faces:,} faces, {facts.surface.replace('×', ' x ')}",
        f"symmetry: {facts.symmetry}",
        f"{poses} resting poses" if poses > 1 else "rests upright" if not poses else "1 resting pose",
    ]


def _centimetres(metres: float) -> str:
    return f"{100 * metres:.1f}" if metres < 1 else f"{100 * metres:.0f}"


def _title(pack: Pack) -> list[str]:
    count = len(pack.manifest.objects)
    return [pack.name, f"{count} object{'s' if count > 1 else ''}, licence {pack.manifest.licence}"]


def _with_ruler(picture: Image.Image, pixels_per_cm: float) -> Image.Image:
    """The picture above a ruler that is as long as fits, with numbers at 1, 2 or 5 times a power of ten."""
    step, ticks = next(
        (factor * 10.0**power, 4 if factor == 2 else 5)
        for power in range(-4, 9)
        for factor in (1, 2, 5)
        if factor * 10.0**power * pixels_per_cm >= 34
    )
    strip = Image.new("RGB", (picture.width, 34), _PAPER)
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(12)
    left, top = 10.0, 5.0
    count = max(1, int((picture.width - 52) / (step * pixels_per_cm)))
    draw.line((left, top, left + count * step * pixels_per_cm, top), fill=_INK, width=2)
    for tick in range(count * ticks + 1):
        x, labelled = left + tick / ticks * step * pixels_per_cm, tick % ticks == 0
        draw.line((x, top, x, top + (9 if labelled else 5)), fill=_INK, width=2 if labelled else 1)
        if labelled:
            number = f"{tick // ticks * step:g}"
            draw.text((x, top + 11), number, fill=_INK, font=font, anchor="ma")
            if tick == count * ticks:
                beside = x + draw.textlength(number, font=font) / 2 + 4
                draw.text((beside, top + 11), "cm", fill=_INK, font=font)
    return _stacked([picture, strip])


def _draw_axes(picture: Image.Image, view: ObjectView, azimuth: float) -> None:
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for name, (start, end) in view.axes(azimuth).items():
        draw.line((*start, *end), fill=_AXES[name], width=2)
        draw.text(end, name, fill=_AXES[name], font=font, anchor="mm", stroke_width=2, stroke_fill=_PAPER)


def _captioned(picture: Image.Image, lines: Sequence[str]) -> Image.Image:
    return _stacked([picture, _text(lines, picture.width, (15, 12))])


def _heading(lines: Sequence[str], mesh: Mesh | None = None) -> Image.Image:
    """Lines of text, the first larger; with the size along each axis in the axis's colour."""
    block = _text(lines, 620, (18, 13))
    if mesh is None:
        return block
    axes = Image.new("RGB", (block.width, 20), _PAPER)
    draw, font, x = ImageDraw.Draw(axes), ImageFont.load_default(13), 6.0
    for name, low, high in zip(_AXES, mesh.vertices.min(axis=0), mesh.vertices.max(axis=0), strict=True):
        text = f"{name}  {100 * low:.1f} to {100 * high:.1f} cm"
        draw.text((x, 2), text, fill=_AXES[name], font=font)
        x += draw.textlength(text, font=font) + 24
    return _stacked([block, axes])


def _text(lines: Sequence[str], width: int, sizes: tuple[int, int]) -> Image.Image:
    first, other = (ImageFont.load_default(size) for size in sizes)
    block = Image.new("RGB", (width, 8 + sizes[0] + 4 + (sizes[1] + 4) * (len(lines) - 1)), _PAPER)
    draw, y = ImageDraw.Draw(block), 4
    for index, line in enumerate(lines):
        font = other if index else first
        draw.text((6, y), _shortened(line, draw, font, width - 12), fill=_FAINT if index else _INK, font=font)
        y += (sizes[1] if index else sizes[0]) + 4
    return block


def _shortened(
    text: str, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    while draw.textlength(text, font=font) > width and len(text) > 4:
        text = text[:-4] + "..."
    return text


def _stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    width = max(picture.width for picture in pictures)
    sheet = Image.new("RGB", (width, sum(picture.height for picture in pictures)), _PAPER)
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet


def _grid(cells: Sequence[Image.Image], columns: int, title: Sequence[str] = ()) -> Image.Image:
    gap = 8
    width, height = max(cell.width for cell in cells), max(cell.height for cell in cells)
    rows = -(-len(cells) // columns)
    columns = min(columns, len(cells))
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), _PAPER)
    for index, cell in enumerate(cells):
        sheet.paste(cell, (gap + index % columns * (width + gap), gap + index // columns * (height + gap)))
    return _stacked([_text(title, sheet.width, (20, 13)), sheet]) if title else sheet
