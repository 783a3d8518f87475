import errno
import io
import os
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st
from PIL import Image, PngImagePlugin

from inverse_graphics.errors import ImageError, StorageError
from inverse_graphics.io.images import (
    MAX_SIDE,
    PALETTE,
    as_image,
    decode_image,
    expand_images,
    is_one_image,
    mask_colour,
    read_image,
    write_depth,
    write_image,
    write_mask,
)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("suffix", ["png", "bmp", "PNG"])
def test_a_written_image_is_read_back(tmp_path, noise, suffix):
    image = noise.astype(np.float32) / 255
    write_image(tmp_path / f"a.{suffix}", image)
    read = read_image(tmp_path / f"a.{suffix}")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "webp"])
def test_a_lossy_format_keeps_a_smooth_image_within_two_per_cent(tmp_path, suffix):
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    image = np.stack(
        [ramp[None] * ramp[:, None], np.broadcast_to(ramp, (64, 64)), np.full((64, 64), 0.5)], -1
    )
    write_image(tmp_path / f"a.{suffix}", image)
    assert np.abs(read_image(tmp_path / f"a.{suffix}") - image).mean() < 0.02


def test_values_beyond_the_range_are_clipped_and_grey_becomes_three_equal_channels(tmp_path):
    image = np.full((8, 8), -3.0)
    image[0, :3] = 7.0, np.nan, 0.5
    write_image(tmp_path / "a.png", image)
    expected = np.zeros((8, 8), np.float32)
    expected[0, :3] = 1, 0, 128 / 255
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.repeat(expected[..., None], 3, -1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "RGB", "YCbCr"])
def test_every_opaque_mode_agrees_with_its_rgb(tmp_path, noise, mode):
    image = Image.fromarray(noise).convert(mode)
    image.save(tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png"))
    file = next(tmp_path.iterdir())
    expected = np.asarray(Image.open(file).convert("RGB")) / 255
    np.testing.assert_allclose(read_image(file), expected, atol=1e-6)


def test_sixteen_bits_of_grey_are_kept(tmp_path):
    grey = np.random.default_rng(1).integers(0, 65536, (9, 10), dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[..., 1], grey / 65535, atol=1e-7)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_is_laid_over_black(tmp_path, noise, mode):
    alpha = np.linspace(0, 255, 12 * 17).reshape(12, 17).astype(np.uint8)
    image = Image.fromarray(np.dstack([noise, alpha]), mode="RGBA") if mode == "RGBA" else None
    image = image or Image.merge("LA", [Image.fromarray(noise[..., 0]), Image.fromarray(alpha)]).convert(mode)
    image.save(tmp_path / "a.png") if mode != "PA" else image.convert("RGBA").save(tmp_path / "a.png")
    rgba = np.asarray(image.convert("RGBA")).astype(np.float64) / 255
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), rgba[..., :3] * rgba[..., 3:], atol=1e-6)


def test_a_transparent_palette_colour_becomes_black(tmp_path):
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 2, mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "a.png", transparency=0)
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read[0, 0], [0, 0, 0])
    np.testing.assert_array_equal(read[0, 1], [0, 1, 0])


def test_the_orientation_in_exif_is_applied(tmp_path, noise):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was rotated: row 0 is the right-hand side
    Image.fromarray(noise).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png") * 255, np.rot90(noise, -1))


def test_large_texts_and_profiles_do_not_lose_the_image(tmp_path, noise):
    """Pillow takes more than a megabyte of them for an attack; the pixels do not depend on them."""
    image = Image.fromarray(noise)
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>" + " " * 1_200_000 + "</x:xmpmeta>", zip=True)
    texts.add_text("comment", "x" * 1_200_000, zip=True)
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "texts.png", pnginfo=texts)
    image.save(tmp_path / "profile.png", icc_profile=bytes(1_200_000))
    for name in ("texts", "profile"):
        np.testing.assert_array_equal(
            read_image(tmp_path / f"{name}.png"), read_image(tmp_path / "plain.png")
        )


def test_an_image_can_be_decoded_as_it_is_stored(noise):
    rgba = np.dstack([noise, np.full(noise.shape[:2], 51, np.uint8)])
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgba).save(buffer, "PNG", exif=exif)
    stored = decode_image(buffer.getvalue(), "it", upright=False)
    np.testing.assert_allclose(stored, rgba / 255, atol=1e-7)
    upright = decode_image(buffer.getvalue(), "it")
    np.testing.assert_array_equal(upright, np.rot90(stored, -1))
    with pytest.raises(ImageError, match="it is not an image"):
        decode_image(buffer.getvalue(), "it", formats=["JPEG"])
    with pytest.raises(ImageError, match=r"it has .* pixels: expected at most 4 pixels a side"):
        decode_image(buffer.getvalue(), "it", sides=(1, 4))


def test_a_damaged_exif_does_not_lose_the_image(tmp_path, noise):
    Image.fromarray(noise).save(tmp_path / "a.png", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert read_image(tmp_path / "a.png").shape == (12, 17, 3)


def bad_files(folder) -> dict[str, str]:
    """Write files that are no usable images; what the message says of each."""
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for suffix in ("png", "jpg"):
        Image.fromarray(noise).save(folder / f"whole.{suffix}")
        content = (folder / f"whole.{suffix}").read_bytes()
        (folder / f"cut.{suffix}").write_bytes(content[: len(content) // 2])
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.png").write_text("this is no image")
    (folder / "folder.png").mkdir()
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    (folder / "bomb.png").write_bytes(png_header(20_000, 20_000))
    (folder / "wide.png").write_bytes(png_header(MAX_SIDE + 1, 8))
    (folder / "area.png").write_bytes(png_header(8000, 8000))
    (folder / "hollow.png").write_bytes(png_header(100, 100))
    Image.fromarray(noise).save(folder / "other.png", format="GIF")
    return {
        "none.png": "no such file",
        "zero.png": r"empty \(0 bytes\)",
        "text.png": "not an image",
        "folder.png": "is a folder",
        "cut.png": "damaged or cut off",
        "cut.jpg": "damaged or cut off",
        "hollow.png": "damaged or cut off",
        "one.png": "1×1 pixels: expected at least 8×8",
        "bomb.png": "too large: expected at most 8192 pixels a side and 40 megapixels",
        "wide.png": "8193×8 pixels: expected at most 8192",
        "area.png": "8000×8000 pixels: expected at most 8192 pixels a side and 40 megapixels",
        "other.png": "not an image: expected BMP, JPEG, PNG or WebP",
        "nul\0.png": "cannot read",
    }


def test_each_bad_file_is_one_line_that_names_it(tmp_path):
    for name, reason in bad_files(tmp_path).items():
        with pytest.raises(ImageError, match=reason) as raised:
            read_image(tmp_path / name)
        assert "\n" not in str(raised.value)
        assert str(tmp_path / name) in str(raised.value)


def test_a_decompression_bomb_is_refused_before_it_costs_memory(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="too large"):
            read_image(tmp_path / "bomb.png")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_give_an_image_or_an_image_error(tmp_path, noise, seed):
    generator = np.random.default_rng(seed)
    suffix = ("png", "jpg", "webp", "bmp")[seed % 4]
    Image.fromarray(noise).save(tmp_path / f"a.{suffix}")
    content = np.frombuffer((tmp_path / f"a.{suffix}").read_bytes(), np.uint8).copy()
    content[generator.integers(4, len(content), 6)] = generator.integers(0, 256, 6)
    (tmp_path / "b.png").write_bytes(content.tobytes())
    try:
        assert read_image(tmp_path / "b.png").ndim == 3
    except ImageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


def test_depth_is_millimetres_and_zero_where_nothing_is_seen(tmp_path):
    depth = np.full((8, 8), 0.8123)
    depth[0, :6] = np.inf, np.nan, -1, 65.535, 65.536, 0.0004
    write_depth(tmp_path / "d.png", depth)
    with Image.open(tmp_path / "d.png") as image:
        assert image.mode == "I;16"
        stored = np.asarray(image)
    np.testing.assert_array_equal(stored[0, :6], [0, 0, 0, 65535, 0, 0])
    assert (stored[1:] == 812).all()


def test_a_mask_keeps_its_numbers_and_neighbours_differ_in_colour(tmp_path):
    mask = np.arange(64).reshape(8, 8)
    write_mask(tmp_path / "m.png", mask)
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), mask)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB"))[0, 1], mask_colour(1))
    colours = [mask_colour(index) for index in range(len(PALETTE))]
    assert len(set(colours)) == len(PALETTE)
    assert (0, 0, 0) not in {mask_colour(index) for index in range(1, 256)}


@pytest.mark.parametrize("write", [write_depth, write_mask])
def test_depth_and_mask_insist_on_png(tmp_path, write):
    with pytest.raises(ImageError, match=r"choose a name that ends in \.png"):
        write(tmp_path / "d.jpg", np.zeros((8, 8), np.int64))


def test_an_unknown_suffix_is_one_line_that_lists_the_known(tmp_path):
    for name in ("a.gif", "a"):
        with pytest.raises(ImageError, match=r"expected one of \.png, \.jpg"):
            write_image(tmp_path / name, np.zeros((8, 8, 3)))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_image(tmp_path, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write_image(tmp_path / "a.png", np.zeros((8, 8, 3)))
    assert list(tmp_path.iterdir()) == []


def test_folders_are_replaced_by_their_images_in_order(tmp_path):
    folder = tmp_path / "images"
    (folder / "inner.png").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "c.txt", ".hidden.png", "d.webp"):
        (folder / name).write_bytes(b"")
    single = tmp_path / "single.whatever"
    names = [path.name for path in expand_images([single, folder, str(single)])]
    assert names == ["single.whatever", "a.JPG", "b.png", "d.webp", "single.whatever"]


def test_a_folder_without_images_is_one_line(tmp_path):
    with pytest.raises(ImageError, match="holds no image"):
        expand_images([tmp_path])


SHAPES = st.tuples(st.integers(8, 20), st.integers(8, 20), st.sampled_from([1, 3, 4]))


@given(numpy_st.arrays(np.uint8, SHAPES))
def test_the_same_picture_is_the_same_in_every_form(levels):
    """Grey, RGB and RGBA; also by rows that are not contiguous, as after a flip."""
    grey = levels.shape[2] == 1
    pillow = Image.fromarray(levels[..., 0] if grey else levels)
    file = io.BytesIO()
    pillow.save(file, "PNG")
    expected = as_image(levels)
    assert expected.dtype == np.float32
    assert expected.shape == (*levels.shape[:2], 3)
    assert expected.flags.c_contiguous
    assert expected.flags.writeable
    exact = levels / 255
    colour = exact[..., :3] * (exact[..., 3:] if levels.shape[2] == 4 else 1)
    np.testing.assert_allclose(expected, np.broadcast_to(colour, expected.shape), atol=1e-7)
    forms = {
        "pillow": pillow,
        "pillow, from a file": Image.open(file),
        "uint16": levels.astype(np.uint16) * 257,
        "uint16, big endian": (levels.astype(np.uint16) * 257).astype(">u2"),
        "float32": levels.astype(np.float32) / np.float32(255),
        "float64": levels / 255,
        "tensor": torch.from_numpy(levels),
        "tensor of floats": torch.from_numpy(levels / 255).requires_grad_(),
        "flipped twice": np.ascontiguousarray(levels[::-1, ::-1])[::-1, ::-1],
        "Fortran's order": np.asfortranarray(levels),
    }
    if grey:
        forms["two axes"] = levels[..., 0]
    for name, form in forms.items():
        np.testing.assert_array_equal(as_image(form), expected, name)
    assert all(map(is_one_image, forms.values()))


def test_a_path_a_pillow_image_and_an_array_are_read_alike(tmp_path, noise):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        read = as_image(opened)
    for other in (str(tmp_path / "turned.png"), tmp_path / "turned.png", np.rot90(noise, -1)):
        np.testing.assert_array_equal(as_image(other), read)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB"])
def test_pillow_images_of_opaque_modes_are_as_pillow_converts_them(noise, mode):
    image = Image.fromarray(noise).convert(mode)
    np.testing.assert_allclose(as_image(image), np.asarray(image.convert("RGB")) / 255, atol=1e-6)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "RGBa", "PA"])
def test_transparent_pillow_images_are_laid_over_black(noise, mode):
    image = Image.fromarray(np.dstack([noise, noise[..., 0]])).convert(mode)
    rgba = np.asarray(image.convert("RGBA")) / 255
    np.testing.assert_allclose(as_image(image), rgba[..., :3] * rgba[..., 3:], atol=1e-6)


def test_booleans_half_floats_and_deep_grey_are_accepted():
    mask = np.eye(9, dtype=bool)
    np.testing.assert_array_equal(as_image(mask)[..., 1], mask)
    half = np.linspace(0, 1, 81, dtype=np.float16).reshape(9, 9)
    np.testing.assert_array_equal(as_image(half)[..., 2], half)
    np.testing.assert_array_equal(as_image(torch.from_numpy(half).bfloat16())[0, 0], 0)
    deep = np.arange(81, dtype=np.int32).reshape(9, 9) * 800
    np.testing.assert_array_equal(
        as_image(Image.fromarray(deep))[..., 0], np.float32(deep) / np.float32(65535)
    )
    np.testing.assert_array_equal(as_image(Image.fromarray(half.astype(np.float32)))[..., 0], half)


def test_values_that_round_into_the_range_are_clipped_and_the_array_given_stays_as_it_is():
    image = np.full((8, 8), 0.5)
    image[0, :2] = -0.0019, 1.0019
    before = image.copy()
    read = as_image(image)
    assert (read.min(), read.max()) == (0, 1)
    np.testing.assert_array_equal(image, before)
    given = np.random.default_rng(3).random((8, 8, 3), np.float32)
    read = as_image(given)
    read[:] = 0
    assert given.max() > 0.5


OFF = np.full((9, 9, 3), 0.5)
REFUSED: dict[str, tuple[Any, str]] = {
    "floats of 0 to 255": (
        255 * OFF + [127, 0, 0],
        r"from 127\.5 to 254\.5: expected floats in \[0, 1\].*divide",
    ),
    "floats around 0": (OFF - 1, r"from -0\.5 to -0\.5: expected floats in \[0, 1\].*clip it"),
    "not a number": (np.where(np.eye(9)[..., None] > 0, np.nan, OFF), "not finite.*replace them"),
    "infinite": (OFF * np.inf, "not finite.*replace them"),
    "int64": (np.full((9, 9, 3), 200), r"type int64: expected .*uint8.*astype\(np.uint8\)"),
    "int8": (np.zeros((9, 9), np.int8), "type int8: expected"),
    "uint32": (np.zeros((9, 9), np.uint32), "type uint32: expected"),
    "complex": (np.zeros((9, 9), complex), "type complex128: expected"),
    "text": (np.full((9, 9), "a"), "type <U1: expected"),
    "channels first": (np.zeros((3, 20, 30)), r"shape \(3, 20, 30\).*move its channels to the end"),
    "a tensor, channels first": (torch.zeros(3, 20, 30), r"shape \(3, 20, 30\).*permute\(1, 2, 0\)"),
    "a batch": (np.zeros((5, 20, 30, 3)), r"shape \(5, 20, 30, 3\).*list\(images\)"),
    "a batch of grey": (
        np.zeros((5, 20, 30)),
        r"shape \(5, 20, 30\).*expected \(H, W\).*or a list of images",
    ),
    "one axis": (np.zeros(100), r"shape \(100,\).*expected \(H, W\)"),
    "no axis": (np.float64(0.5), r"shape \(\).*expected \(H, W\)"),
    "two channels": (np.zeros((9, 9, 2)), r"shape \(9, 9, 2\).*expected \(H, W\)"),
    "nothing": (np.zeros((0, 9, 3)), "9×0 pixels: expected at least 8×8"),
    "too small": (np.zeros((7, 9, 3), np.uint8), "9×7 pixels: expected at least 8×8"),
    "too long": (np.zeros((8, MAX_SIDE + 1)), "expected at most 8192 pixels a side.*scale it down"),
    "bytes of a file": (b"\x89PNG\r\n\x1a\n", "is a bytes: expected a path, a Pillow image, an array"),
    "nested lists": ([[0.5] * 9] * 9, "is a list: expected a path"),
    "None": (None, "is a NoneType: expected a path"),
    "a small Pillow image": (Image.new("RGB", (4, 4)), "4×4 pixels: expected at least"),
    "a Pillow image of floats": (Image.new("F", (9, 9), 200.0), "from 200 to 200: expected floats"),
    "a Pillow image of 32 bits": (
        Image.new("I", (9, 9), 70_000),
        "mode I with values from 70000.*0 to 65535",
    ),
    "a Pillow image that Pillow cannot convert": (Image.new("La", (9, 9)), "conversion from La to "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_mean_two_objects_is_refused_in_one_line(case):
    image, message = REFUSED[case]
    with pytest.raises(ImageError, match=message) as refused:
        as_image(image, "image '7'")
    assert str(refused.value).startswith("image '7' ")
    assert "\n" not in str(refused.value)
