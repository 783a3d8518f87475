"""Pictures of every kind that meshes come with: right, bounded, and never handed to another program."""

import struct
import zlib

import numpy as np
import pytest
from mesh_files import PICTURE, QUADRANTS, RED, SQUARE, UV, check_seen, encoded, pack_of, quadrants, quarters
from PIL import Image

from inverse_graphics.errors import AssetError

OBJ = (
    "mtllib thing.mtl\n"
    + "".join(f"v {x} {y} {z}\n" for x, y, z in SQUARE)
    + "".join(f"vt {u} {v}\n" for u, v in UV)
    + "usemtl a\nf 1/1 2/2 3/3 4/4\n"
)


def textured(folder, content, name="skin.png"):
    files = {"thing.obj": OBJ, "thing.mtl": f"newmtl a\nmap_Kd {name}\n", name: content}
    return pack_of(folder, files, "thing.obj")


def rgba16():
    """A PNG of 16 bits a channel, which Pillow cannot write."""
    rows = b"".join(
        b"\0" + b"".join(struct.pack(">4H", *(int(c) * 257 for c in pixel), 65535) for pixel in row)
        for row in quadrants()
    )
    head = struct.pack(">IIBBBBB", 64, 64, 16, 6, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


RGB = Image.fromarray(quadrants())
CLEAR = Image.fromarray(np.dstack([quadrants(), np.zeros((64, 64), np.uint8)]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("skin.png", PICTURE),
        ("skin.png", rgba16()),
        ("skin.png", encoded(RGB.quantize(8, dither=Image.Dither.NONE), "PNG", transparency=3)),
        ("skin.png", encoded(CLEAR)),  # alpha does not darken what a texture shows
        ("skin.bmp", encoded(RGB, "BMP")),
        ("skin.gif", encoded(RGB, "GIF")),
        ("skin.tga", encoded(RGB, "TGA")),
        ("skin.tif", encoded(RGB, "TIFF")),
        ("skin.webp", encoded(RGB, "WEBP", lossless=True)),
        ("skin.jpg", encoded(RGB, "JPEG", quality=98, progressive=True)),
        ("skin.jfif", encoded(RGB.convert("CMYK"), "JPEG", quality=98)),
        ("skin.jpg", PICTURE),  # the contents count, not the name
    ],
)
def test_kinds_of_colour_pictures(tmp_path, name, content):
    check_seen(textured(tmp_path, content, name), quarters(), tolerance=8)


GREYS = dict(zip(QUADRANTS, (200, 40, 90, 250), strict=True))
LEVELS = np.repeat(np.repeat(np.array([[200, 40], [90, 250]], np.uint8), 32, 0), 32, 1)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(LEVELS),
        Image.fromarray(LEVELS.astype(np.uint16) * 257),
        Image.merge("LA", [Image.fromarray(LEVELS), Image.new("L", (64, 64), 255)]),
    ],
)
def test_grey_of_eight_and_sixteen_bits(tmp_path, image):
    points = [((0.05 * x, 0.05 * y), [level] * 3) for (x, y), level in GREYS.items()]
    check_seen(textured(tmp_path, encoded(image)), points, tolerance=1)


def test_black_and_white(tmp_path):
    points = [((0.05 * x, 0.05 * y), [255 * (level > 100)] * 3) for (x, y), level in GREYS.items()]
    check_seen(textured(tmp_path, encoded(Image.fromarray(LEVELS > 100))), points)


def test_a_palette_of_eight_pixels_whose_faces_show_one_each(tmp_path):
    colours = [
        (230, 30, 30),
        (30, 200, 40),
        (40, 60, 220),
        (240, 220, 30),
        (255, 255, 255),
        (0, 0, 0),
        (128, 0, 128),
    ]
    width = 0.2 / len(colours)
    obj = "mtllib thing.mtl\nusemtl a\n" + "".join(
        f"vt {(i + 0.5) / len(colours)} 0.5\n" for i in range(len(colours))
    )
    points = []
    for i, colour in enumerate(colours):
        left = -0.1 + i * width
        corners = ((left, -0.1), (left + width, -0.1), (left + width, 0.1), (left, 0.1))
        obj += (
            "".join(f"v {x} {y} 0\n" for x, y in corners) + f"f -4/{i + 1} -3/{i + 1} -2/{i + 1} -1/{i + 1}\n"
        )
        points.append(((left + width / 2, 0.03), colour))
    files = {"thing.obj": obj, "thing.mtl": "newmtl a\nmap_Kd skin.png\n", "skin.png": encoded([colours])}
    check_seen(pack_of(tmp_path, files, "thing.obj"), points)


def test_an_orientation_in_exif_is_not_applied_as_coordinates_are_made_for_the_pixels_as_stored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    check_seen(
        textured(tmp_path, encoded(RGB, "JPEG", quality=98, exif=exif), "skin.jpg"), quarters(), tolerance=8
    )


@pytest.mark.parametrize("name", ["skin.png", "skin.eps"])
def test_no_program_is_started_for_a_picture(tmp_path, name, monkeypatch):
    """Pillow would hand PostScript to Ghostscript, which executes it."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho called >> {calls}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(AssetError, match=r"is not an image|is of no kind that is read"):
        textured(tmp_path / "pack", eps, name).mesh("thing")
    assert not calls.exists()


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("png", "PNG"), ("jpg", "JPEG"), ("jpeg", "JPEG"), ("jfif", "JPEG"), ("bmp", "BMP"), ("webp", "WEBP"),
        ("tga", "TGA"), ("tif", "TIFF"), ("tiff", "TIFF"), ("gif", "GIF"), ("PNG", "PNG"),
    ],
)  # fmt: skip
def test_the_hash_follows_every_picture_that_can_be_read(tmp_path, suffix, kind):
    hashes = set()
    for shade in (40, 200):
        pack = textured(tmp_path, encoded(Image.new("RGB", (8, 8), (shade,) * 3), kind), f"skin.{suffix}")
        assert pack.mesh("thing").texture.mean() == pytest.approx(shade / 255, abs=0.01)
        hashes.add(pack.content_hash())
    assert len(hashes) == 2


def test_a_picture_whose_suffix_the_hash_does_not_know_is_refused(tmp_path):
    with pytest.raises(
        AssetError, match=r"file 'skin\.dat' is of no kind that is read: expected one of \.mtl"
    ):
        textured(tmp_path, PICTURE, "skin.dat").mesh("thing")


def test_the_manifest_s_colour_replaces_the_file_s_picture_whatever_that_is(tmp_path):
    textured(tmp_path, b"not a picture")
    pack = pack_of(tmp_path, {}, "thing.obj", colour=[1, 0, 0])
    check_seen(pack, [(point, RED) for point, _ in quarters()])
    assert pack.mesh("thing").texture is None
