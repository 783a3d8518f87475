"""Named tensors in a safetensors file: written atomically, read only with the expected names and shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from inverse_graphics.errors import InverseGraphicsError
from inverse_graphics.io.files import atomic_write

LARGEST_FILE = 2**30
"""Largest accepted file of tensors, bytes."""

_TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


RENAMED = {
    "see": "encoder", "compare": "step_encoder", "notice": "residual_encoder", "view": "camera_head",
    "locate": "location_head", "glimpse": "glimpse_encoder", "describe": "object_head",
    "recur": "state_update", "memory": "replay", "turn": "orientation",
    "encode": "glimpse_encoder", "decode": "glimpse_decoder", "see_difference": "difference_encoder",
    "aim": "location_attention", "want": "query", "map_image": "image_map", "correct": "window_correction",
    "where_there": "location_where", "presence_there": "location_presence",
    "think": "adaptive_cell", "begun": "initialised", "picture": "image", "say": "output",
}  # fmt: skip
"""Parts of tensors' names in older files, and their current names."""

ADDED = ("replay.K",)
"""Suffixes of tensors that files of version 0.1 lack; these keep their initial values."""


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    with atomic_write(path) as file:
        file.write(content)


def load_tensors(
    path: Path, expected: Mapping[str, Tensor], error: type[InverseGraphicsError]
) -> dict[str, Tensor]:
    """Read the tensors of a file, which must have the names, shapes and types of `expected`.

    Args:
        path: of the file.
        expected: by name; may be on the meta device, as only shapes and types are compared, before anything
            is allocated.
        error: type of the exception that is raised.

    Raises:
        error: the file is missing, too large, truncated or damaged, or contains other tensors.

    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise error(f"{path} is larger than {LARGEST_FILE} bytes: expected a file of this package")
        with safe_open(path, framework="pt") as file:
            stored = {_current_name(name, expected): name for name in file.keys()}  # noqa: SIM118
            added = {n: t for n, t in expected.items() if n.endswith(ADDED) and n not in stored}
            expected = {n: t for n, t in expected.items() if n not in added}
            found = {name: file.get_slice(stored[name]) for name in stored}
            if difference := _difference(found, expected):
                raise error(f"{path} {difference}; it belongs to other settings or another version")
            return {name: file.get_tensor(stored[name]) for name in expected} | added
    except FileNotFoundError as problem:
        raise error(f"{path} is missing: provide the whole folder") from problem
    except (OSError, SafetensorError) as problem:
        raise error(f"{path} is truncated or damaged ({problem}); provide the file again") from problem


def _current_name(name: str, expected: Mapping[str, Tensor]) -> str:
    """The current name of a stored tensor: the stored name, or its replacement."""
    if name in expected:
        return name
    renamed = ".".join(RENAMED.get(part, part) for part in name.split("."))
    return renamed if renamed in expected else name


def _difference(found: Mapping[str, Any], expected: Mapping[str, Tensor]) -> str | None:
    """A description of how the slices in a file differ from the expected tensors, None if they do not."""
    if missing := expected.keys() - found.keys():
        return f"lacks tensor {_named(missing)}"
    if unknown := found.keys() - expected.keys():
        return f"holds tensor {_named(unknown)}, which the network does not have"
    for name, tensor in expected.items():
        came = found[name].get_dtype(), list(found[name].get_shape())
        wanted = _TYPES[tensor.dtype], list(tensor.shape)
        if came != wanted:
            return f"holds tensor {name} as {came[0]} {came[1]}, expected {wanted[0]} {wanted[1]}"
    return None


def _named(names: Iterable[str]) -> str:
    first, *others = sorted(names)
    name = first if first.isprintable() and len(first) < 100 else repr(first)[:100]
    return f"{name} and {len(others)} more" if others else name
