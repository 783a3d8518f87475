"""Checkpoints: the complete state of a run, written atomically.

A checkpoint is a folder `step-00001000` with `state.safetensors` (network, optimiser, average and random
state) and `checkpoint.json` (counters, recipe, versions). Nothing is unpickled. The latest two are retained.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from inverse_graphics.errors import TrainingError
from inverse_graphics.io.documents import read_document, validated
from inverse_graphics.io.files import atomic_folder, atomic_write, storage_error
from inverse_graphics.models.tensor_file import load_tensors, save_tensors
from inverse_graphics.models.weights import current_versions
from inverse_graphics.training.state import Counters, TrainingState

FORMAT_VERSION = 1
RETAINED = 2
TENSORS, DOCUMENT = "state.safetensors", "checkpoint.json"
_NAME = re.compile(r"step-(\d{8,})")


class CheckpointDocument(BaseModel):
    """The part of a checkpoint other than tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    counters: Counters
    recipe: dict[str, Any]
    versions: dict[str, str]


def save_checkpoint(folder: Path, state: TrainingState, recipe: dict[str, Any]) -> Path:
    """Write a checkpoint into `folder` and delete all but the latest two.

    Raises:
        StorageError: it cannot be written; earlier checkpoints are unchanged.
    """
    document = CheckpointDocument(counters=state.counters, recipe=recipe, versions=current_versions())
    target = folder / f"step-{state.counters.step:08d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    with atomic_folder(target) as temporary:
        save_tensors(state.tensors(), temporary / TENSORS)
        with atomic_write(temporary / DOCUMENT, "w") as file:
            file.write(document.model_dump_json(indent=1) + "\n")
    killed_while_saving = folder.glob(".step-*.tmp")
    for old in (*checkpoints(folder)[:-RETAINED], *killed_while_saving):
        shutil.rmtree(old, ignore_errors=True)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints in a folder, oldest first; incomplete ones have other names."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def read_document_of(checkpoint: Path) -> CheckpointDocument:
    """Read the counters, recipe and versions of a checkpoint.

    Raises:
        TrainingError: the file is missing, damaged or of another format.
    """
    content = read_document(checkpoint / DOCUMENT, TrainingError)
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise TrainingError(
            f"{checkpoint} has format version {version!r}, this package reads {FORMAT_VERSION}: "
            "start a new run"
        )
    return validated(CheckpointDocument, content, str(checkpoint / DOCUMENT), TrainingError)


def restore_checkpoint(checkpoint: Path, state: TrainingState) -> None:
    """Load a checkpoint into `state`.

    Raises:
        TrainingError: it is truncated, damaged, or of a network or optimiser with other tensors; the message
            states what to do.
    """
    try:
        document = read_document_of(checkpoint)
        tensors = load_tensors(checkpoint / TENSORS, state.tensors(), TrainingError)
    except TrainingError as error:
        earlier = [path for path in checkpoints(checkpoint.parent) if path.name < checkpoint.name]
        remedy = f"continue from {earlier[-1].name}" if earlier else "start again"
        raise TrainingError(f"{error}; or delete {checkpoint} to {remedy}") from error
    state.restore(tensors, document.counters)
