"""The project's errors: problems that a user can fix, each with a message of one line.

Each message states what came, what was expected and what to do. The command line prints the message of any
`InverseGraphicsError` to stderr and exits with status 1; any other exception is a bug.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec


class InverseGraphicsError(Exception):
    """Base of every error that a user can fix; its text is one line."""


class SceneError(InverseGraphicsError):
    """A scene, or a scene file, that cannot be used."""


class AssetError(InverseGraphicsError):
    """An asset pack, a manifest or a mesh that cannot be used."""


class EngineError(InverseGraphicsError):
    """A render engine that is unknown, not installed or does not support what was requested."""


class DeviceError(InverseGraphicsError):
    """A device that this machine does not have."""


class ImageError(InverseGraphicsError):
    """A file that cannot be read as an image."""


class DataError(InverseGraphicsError):
    """A data set that is missing, incomplete or does not match its checksum."""


class ModelError(InverseGraphicsError):
    """Weights that are unknown, truncated or of another version."""


class RecipeError(InverseGraphicsError):
    """A training recipe, or an override of one, that is not valid."""


class StorageError(InverseGraphicsError):
    """A file that could not be written; nothing half-written is left behind."""


class TrainingError(InverseGraphicsError):
    """A training run that cannot start, continue or be resumed."""


class MissingExtraError(InverseGraphicsError, ImportError):
    """Packages that only some commands need and that are not installed."""


EXTRAS: Mapping[str, Mapping[str, str]] = {
    "train": {"scikit-learn": "sklearn", "tensorboard": "tensorboard"},
    "plots": {"matplotlib": "matplotlib"},
}
"""By extra: packages that inference does not need, each with the name of the module that it installs."""


def missing_packages(extra: str) -> list[str]:
    """The packages of an extra that are not installed; none of them is imported."""
    return [package for package, module in EXTRAS[extra].items() if find_spec(module) is None]


class SceneWarning(UserWarning):
    """Objects of a scene float, sink into the table, or intersect each other."""


def require_extras(purpose: str, *extras: str) -> None:
    """Check that all packages of some extras are installed, before work begins that needs them at its end.

    Args:
        purpose: what needs them, the subject of the message.
        extras: keys of `EXTRAS`.

    Raises:
        MissingExtraError: at least one is not; it names them and the command that installs them.
    """
    missing = {extra: packages for extra in extras if (packages := missing_packages(extra))}
    if missing:
        names = ", ".join(package for packages in missing.values() for package in packages)
        command = f"pip install 'inverse-graphics[{','.join(missing)}]'"
        raise MissingExtraError(f"{purpose} needs {names}, not installed here: {command}")
