"""Checks of this installation: what works, what is missing, and how to install it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from inverse_graphics import __version__
from inverse_graphics.errors import EXTRAS, InverseGraphicsError, missing_packages

State = Literal["works", "missing", "broken"]

LIBRARIES = (
    "torch",
    "numpy",
    "numba",
    "scipy",
    "trimesh",
    "pydantic",
    "pillow",
    "safetensors",
    "typer",
    "rich",
)

REINSTALL = "install inverse-graphics again: pip install --force-reinstall inverse-graphics"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        area: group of checks, such as "engines".
        name: what was checked.
        state: "works", "missing" if it is optional and absent, or "broken" if it is required and unusable.
        detail: what was found.
        remedy: what to do, or None if nothing is required.
    """

    area: str
    name: str
    state: State
    detail: str
    remedy: str | None = None


def examine() -> Iterator[Finding]:
    """Run all checks, one after another; a check that fails is a finding, not an exception."""
    areas: dict[str, Callable[[], Iterable[Finding]]] = {
        "versions": _versions,
        "extras": _extras,
        "devices": _devices,
        "engines": _engines,
        "data": _data,
        "packs": _packs,
        "models": _models,
    }
    for area, check in areas.items():
        try:
            yield from check()
        except InverseGraphicsError as error:
            yield Finding(area, area, "broken", str(error), REINSTALL)
        except Exception as error:  # a library that cannot be imported is a finding as well
            yield Finding(area, area, "broken", f"{type(error).__name__}: {error}", REINSTALL)


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "python", "works", f"{platform.python_version()} on {platform.platform()}")
    yield Finding("versions", "inverse-graphics", "works", __version__)
    for name in LIBRARIES:
        try:
            yield Finding("versions", name, "works", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding("versions", name, "broken", "not installed", f"pip install {name}")


def _extras() -> Iterator[Finding]:
    for extra, packages in EXTRAS.items():
        if missing := missing_packages(extra):
            remedy = f"pip install 'inverse-graphics[{extra}]'"
            yield Finding("extras", extra, "missing", f"{', '.join(missing)}: not installed", remedy)
        else:
            yield Finding("extras", extra, "works", ", ".join(packages))


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding(
        "devices", "cpu", "works", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads in torch"
    )
    if not torch.cuda.is_available():
        remedy = "needs an NVIDIA GPU, its driver, and a torch that is built for CUDA: https://pytorch.org"
        yield Finding("devices", "cuda", "missing", "no GPU that torch can use", remedy)
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        yield Finding("devices", f"cuda:{index}", "works", f"{properties.name}, {memory}")


def _engines() -> Iterator[Finding]:
    from inverse_graphics.rendering.engines import DEFAULT_ENGINE, available_engines

    for engine in available_engines():
        if engine.works:
            default = ", the default" if engine.name == DEFAULT_ENGINE else ""
            yield Finding("engines", engine.name, "works", f"works{default}", engine.reason or None)
        else:
            yield Finding("engines", engine.name, "missing", "not available", engine.reason)


def _data() -> Iterator[Finding]:
    from inverse_graphics.data.mnist import SHIPPED_SIZES, load_digits, missing_files
    from inverse_graphics.data.store import FOLDER_VARIABLE, cache_folder

    for split in SHIPPED_SIZES:
        load_digits(split, "shipped")
    sizes = " and ".join(f"{count:,} {split}" for split, count in SHIPPED_SIZES.items())
    yield Finding("data", "mnist, shipped", "works", f"{sizes} digits")
    if missing := missing_files():
        remedy = (
            f"fetched to {cache_folder()} when training asks for it, or set {FOLDER_VARIABLE} to its folder"
        )
        yield Finding("data", "mnist, full", "missing", f"{len(missing)} of 4 files are not here", remedy)
    else:
        yield Finding("data", "mnist, full", "works", "60,000 train and 10,000 test digits")


def _packs() -> Iterator[Finding]:
    from inverse_graphics.packs.pack import load_pack, shipped_packs
    from inverse_graphics.visualisation.asset_facts import facts_of_pack

    for name in shipped_packs():
        try:
            facts = facts_of_pack(load_pack(name))
        except InverseGraphicsError as error:
            yield Finding("packs", name, "broken", str(error), REINSTALL)
        else:
            faces = sum(fact.faces for fact in facts)
            yield Finding("packs", name, "works", f"{len(facts)} objects, {faces:,} faces")


def _models() -> Iterator[Finding]:
    from inverse_graphics.models.weights import list_models, load_model

    for entry in list_models():
        try:
            module = load_model(entry.name).module
        except InverseGraphicsError as error:
            yield Finding("models", entry.name, "broken", str(error), REINSTALL)
        else:
            count = sum(parameter.numel() for parameter in module.parameters())
            yield Finding("models", entry.name, "works", f"{entry.document.kind}, {count:,} parameters")
