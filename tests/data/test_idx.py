from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverse_graphics.data.store import pack_idx, parse_idx, read_idx
from inverse_graphics.errors import DataError


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_packing_and_parsing_are_inverse(shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    packed = pack_idx(array)
    assert np.array_equal(parse_idx(gzip.decompress(packed), "test"), array)
    assert packed == pack_idx(array.copy())


def test_plain_and_gzip_files_read_the_same(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a.gz").write_bytes(pack_idx(array))
    (tmp_path / "a").write_bytes(gzip.decompress(pack_idx(array)))
    assert np.array_equal(read_idx(tmp_path / "a.gz"), array)
    assert np.array_equal(read_idx(tmp_path / "a"), array)


WHOLE = gzip.decompress(pack_idx(np.zeros((2, 3), np.uint8)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "nothing"),
        (b"\x89PNG\r\n", "89504e47"),
        (b"\0\0\x0d\x01" + WHOLE[4:], "00000d01"),
        (b"\0\0\x08\x00", "0 dimensions"),
        (WHOLE[:9], "inside its header"),
        (WHOLE[:-1], "holds 5 elements"),
        (WHOLE + b"\0", "holds 7 elements"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "holds 0 elements"),
        (pack_idx(np.zeros((2, 3), np.uint8))[:-9], "cannot read"),
        (b"\x1f\x8b" + b"\0" * 20, "cannot read"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, content: bytes, message: str, one_line_error: Any) -> None:
    path = tmp_path / "digits"
    path.write_bytes(content)
    with one_line_error(DataError, message, path):
        read_idx(path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"\0" * 10**7))
    with pytest.raises(DataError, match="more than the 1000 bytes"):
        read_idx(path, limit=1000)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "none")
