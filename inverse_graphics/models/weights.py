"""Trained models on disk: a folder with weights, metadata and a model card.

    weights.safetensors   the tensors, by the names of the network's state
    model.json            a `ModelDocument`
    README.md             the model card
    packs/                the objects that a 3D model knows, but for those of shipped packs

Nothing is unpickled, and only the networks in the registry are built.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from torch import nn

from inverse_graphics import __version__
from inverse_graphics.errors import ModelError
from inverse_graphics.io.documents import read_document, validated
from inverse_graphics.io.files import atomic_folder, atomic_write
from inverse_graphics.io.registry import Registry
from inverse_graphics.models.outlier_detector import OutlierDetector
from inverse_graphics.models.tensor_file import load_tensors, save_tensors
from inverse_graphics.packs.appearance import Appearance, KnowsObjects
from inverse_graphics.packs.pack import MANIFEST_NAME, Pack, load_pack, shipped_packs

FORMAT_VERSION = 1
WEIGHTS, DOCUMENT, CARD, PACKS = "weights.safetensors", "model.json", "README.md", "packs"


def current_versions() -> dict[str, str]:
    """Packages whose versions may affect a result."""
    return {
        "inverse_graphics": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


class ModelDocument(BaseModel):
    """The metadata of weights: what is required to build the network, to train it again and to evaluate it.

    Attributes:
        format_version: of the folder.
        kind: type of the network.
        settings: of the network.
        recipe: of its training, None if unknown.
        versions: of the packages that trained it.
        asset_pack_sha256: of the asset packs that an older model was trained with.
        objects: what can be seen of each object that it knows, by asset name; None in 2D and in older models.
        metrics: on test data.
        familiarity: the outlier detector, None if there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    kind: str = Field(max_length=64)
    settings: dict[str, Any]
    recipe: dict[str, Any] | None = None
    versions: dict[str, str] = Field(default_factory=current_versions)
    asset_pack_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    objects: dict[str, Appearance] | None = Field(default=None, max_length=1000)
    metrics: dict[str, FiniteFloat] = {}
    familiarity: OutlierDetector | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A network in evaluation mode.

    Attributes:
        name: The name or folder by which it was loaded.
        module: The network, on the CPU.
        document: Its type, settings, recipe and figures.
    """

    name: str
    module: nn.Module
    document: ModelDocument


@dataclass(frozen=True)
class ModelEntry:
    """A model that ships with the package.

    Attributes:
        name: The name by which it is loaded.
        document: Its type, settings, recipe and figures.
    """

    name: str
    document: ModelDocument


Builder = Callable[[Mapping[str, Any], str], nn.Module]
"""Builds a network from its settings, or raises ModelError; the second argument names their source."""

NETWORKS: Registry[Builder] = Registry(
    "model type",
    "inverse_graphics.models.adaptive.sequence_network",
    "inverse_graphics.models.air2d.network",
    "inverse_graphics.models.air3d.network",
    "inverse_graphics.models.residual.network",
)
"""Builders of networks by the name that a model folder gives them as `kind`."""

Network = TypeVar("Network", bound=type[nn.Module])


def register_network(
    name: str, settings: type[BaseModel], before: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[Network], Network]:
    """Decorate a network class to register it for model folders; it is built from its settings alone.

    Args:
        name: of the model type.
        settings: of the network, its only argument.
        before: values, other than the defaults, of settings that model folders of earlier versions lack.
    """

    def registered(network: Network) -> Network:
        @NETWORKS.register(name)
        def build(document: Mapping[str, Any], source: str) -> nn.Module:
            return network(validated(settings, {**before, **document}, source, ModelError))

        return network

    return registered


def save_model(folder: Path, module: nn.Module, document: ModelDocument, card: str) -> None:
    """Write a model folder atomically, with the objects of one's own packs that the network knows.

    Args:
        folder: its path.
        module: the network.
        document: its metadata.
        card: the model card, Markdown.

    Raises:
        AssetError: files of a pack have become unreadable, or are too large.
        StorageError: the folder cannot be written; an existing one is unchanged.

    """
    with atomic_folder(folder) as temporary:
        if isinstance(module, KnowsObjects):
            document = _with_objects(module, document, temporary)
        save_tensors(module.state_dict(), temporary / WEIGHTS)
        with atomic_write(temporary / DOCUMENT, "w") as file:
            file.write(document.model_dump_json(indent=1) + "\n")
        with atomic_write(temporary / CARD, "w") as file:
            file.write(card)


def load_model(name_or_folder: str | Path, packs: Sequence[Pack] = ()) -> LoadedModel:
    """Load a trained network and its metadata.

    Args:
        name_or_folder: A shipped model's name (see `list_models`), or a model's folder.
        packs: Asset packs that take the place of those of the same names in the model's folder; their objects
            must look as in training.

    Returns:
        The network, on the CPU and in evaluation mode.

    Raises:
        ModelError: No such model, or it is incomplete, damaged, of another format, its tensors are not
            those of the network that its settings describe, or its objects do not look as in training.
        AssetError: Its objects cannot be read.
    """
    name = str(name_or_folder)
    with _folder_of(name) as folder:
        document = _with_packs(_read_document(folder), folder, packs)
        return LoadedModel(name, _read_network(folder, document), document)


def read_card(name_or_folder: str | Path) -> str:
    """Read the model card of a shipped model or of a model folder, Markdown; empty if there is none.

    Raises:
        ModelError: no such model.
    """
    with _folder_of(str(name_or_folder)) as folder:
        card = folder / CARD
        return card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""


def list_models() -> list[ModelEntry]:
    """List the models that ship with the package.

    Returns:
        One entry for each, by name; no network is loaded.

    Raises:
        ModelError: One of them is damaged.
    """
    entries = []
    for name, resource in sorted(_shipped().items()):
        with resources.as_file(resource) as folder:
            entries.append(ModelEntry(name, _read_document(folder)))
    return entries


def _shipped() -> dict[str, Traversable]:
    weights = resources.files("inverse_graphics.assets") / "weights"
    if not weights.is_dir():
        return {}
    return {folder.name: folder for folder in weights.iterdir() if (folder / DOCUMENT).is_file()}


def _folder_of(name: str) -> AbstractContextManager[Path]:
    shipped = _shipped()
    if name in shipped:
        return resources.as_file(shipped[name])
    if Path(name).is_dir():
        return nullcontext(Path(name))
    if Path(name).exists():
        raise ModelError(f"{name} is a file: expected a model's name or its folder")
    near = get_close_matches(name, shipped, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    known = ", ".join(sorted(shipped)) or "none"
    raise ModelError(f"no model {name!r}: {hint}known models: {known}; or give a model's folder")


def _read_document(folder: Path) -> ModelDocument:
    path = folder / DOCUMENT
    if not path.is_file():
        raise ModelError(f"{folder} holds no {DOCUMENT}: expected the folder of a trained model")
    content = read_document(path, ModelError)
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version != FORMAT_VERSION:
        remedy = "update inverse-graphics" if version > FORMAT_VERSION else "train the model again"
        raise ModelError(
            f"{path} has format version {version}, this package reads {FORMAT_VERSION}: {remedy}"
        )
    return validated(ModelDocument, content, str(path), ModelError)


def _read_network(folder: Path, document: ModelDocument) -> nn.Module:
    """Build the network without memory, compare its tensors with the file's, and only then read those."""
    source = f"{folder / DOCUMENT}: settings"
    if document.kind not in NETWORKS:
        known = ", ".join(sorted(NETWORKS))
        raise ModelError(
            f"{folder / DOCUMENT}: unknown kind of model {document.kind!r}; known kinds: {known}"
        )
    with torch.device("meta"):
        module = NETWORKS[document.kind](document.settings, source)
    tensors = load_tensors(folder / WEIGHTS, module.state_dict(), ModelError)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ModelError(f"{folder / WEIGHTS}: tensor {name} is not finite; train the model again")
    with torch.random.fork_rng(devices=[]):  # initial weights are sampled, then replaced
        module = NETWORKS[document.kind](document.settings, source)
    module.load_state_dict(tensors)
    if isinstance(module, KnowsObjects):
        _check_objects(module, document, folder)
    return module.eval()


def _with_objects(module: KnowsObjects, document: ModelDocument, folder: Path) -> ModelDocument:
    """Copy the objects of one's own packs into a model's folder, and note how all objects look."""
    shipped = {load_pack(name).folder.resolve() for name in shipped_packs()}
    for name, pack in module.packs.items():
        if pack.folder.resolve() not in shipped:
            own = [asset for asset in module.appearances if asset.partition("/")[0] == name]
            pack.copy(folder / PACKS / name, own)
    copied = sorted(path.name for path in (folder / PACKS).glob("*"))
    noted = document.model_copy(update={"objects": dict(module.appearances)})
    return _with_pack_folders(noted, [f"{PACKS}/{name}" for name in copied])


def _with_packs(document: ModelDocument, folder: Path, packs: Sequence[Pack]) -> ModelDocument:
    """Name the packs of a model's folder by their absolute paths, and those given in their places."""
    folders = (path for path in sorted((folder / PACKS).glob("*")) if not path.is_symlink())
    held = {path.name: path for path in folders if (path / MANIFEST_NAME).is_file()}
    used = {**held, **{pack.name: pack.folder for pack in packs}}
    return _with_pack_folders(document, [str(path.resolve()) for path in used.values()])


def _with_pack_folders(document: ModelDocument, folders: list[str]) -> ModelDocument:
    """Set `packs` of the family in a network's settings, and in its recipe."""

    def changed(settings: dict[str, Any]) -> dict[str, Any]:
        family = settings.get("family")
        return {**settings, "family": {**family, "packs": folders}} if isinstance(family, dict) else settings

    recipe = document.recipe
    if recipe is not None and isinstance(recipe.get("model"), dict):
        recipe = {**recipe, "model": changed(recipe["model"])}
    return document.model_copy(update={"settings": changed(document.settings), "recipe": recipe})


def _check_objects(module: KnowsObjects, document: ModelDocument, folder: Path) -> None:
    """Check that objects look as in training: with others predictions are silently wrong."""
    if document.objects is None:
        known, here = document.asset_pack_sha256, module.packs_hash
        if known is not None and known != here:
            raise ModelError(
                f"{folder / DOCUMENT}: trained with asset packs of hash {known[:12]}, those here have "
                f"{here[:12]}: bring back the packs that it was trained with, or train it again"
            )
        return
    found = [
        f"{name}: {', '.join(differences)}"
        for name, appearance in module.appearances.items()
        if name in document.objects and (differences := appearance.differences(document.objects[name]))
    ]
    found += [
        f"{name}: not among the objects of its training"
        for name in module.appearances
        if name not in document.objects
    ]
    if found:
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        raise ModelError(
            f"{folder / DOCUMENT}: objects differ from those of training: {'; '.join(found[:3])}{more}: "
            "bring back the packs that it was trained with, or train it again"
        )
