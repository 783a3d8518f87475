"""The kinds of objects that a family draws from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import Pack, load_library, load_pack
from inverse_graphics.packs.symmetry import Symmetry


@dataclass(frozen=True)
class Kinds:
    """Meshes and symmetries by kind, and a hash of the packs that they come from."""

    library: MeshLibrary
    symmetries: tuple[Symmetry, ...]
    packs_hash: str

    @classmethod
    def load(cls, assets: Sequence[str], packs: Sequence[Pack] = ()) -> Kinds:
        """Read the assets named, each once, in this order.  packs: one's own; shipped ones need not be given.

        Raises:
            AssetError: an unknown pack or object, or files that cannot be used.
        """
        library = load_library(assets, packs)
        used = {pack.name: pack for pack in packs}
        names = [asset.partition("/")[0] for asset in assets]
        for name in names:
            used[name] = used.get(name) or load_pack(name)
        symmetries = tuple(used[name].symmetry(asset) for name, asset in zip(names, assets, strict=True))
        digest = hashlib.sha256()
        for name in sorted(set(names)):
            digest.update(f"{name}\0{used[name].content_hash()}\0".encode())
        return cls(library, symmetries, digest.hexdigest())

    @property
    def has_yaw(self) -> Tensor:
        """(K,) bool: whether a turn about z can be seen."""
        return torch.tensor([not _round(symmetry) for symmetry in self.symmetries])


def _round(symmetry: Symmetry) -> bool:
    return symmetry.spherical or (symmetry.axis is not None and abs(float(symmetry.axis[2])) > 1 - 1e-9)
