"""The project's own errors: what a person can mend, told in one line.

Each message says what came, what was expected and what to do. The command line turns any
`InverseGraphicsError` into that one line on stderr and exit status 1; any other exception is a bug.
"""


class InverseGraphicsError(Exception):
    """Base of every error that a user can mend; its text is one line."""


class SceneError(InverseGraphicsError):
    """A scene, or a scene file, that cannot be used."""


class AssetError(InverseGraphicsError):
    """An asset pack, a manifest or a mesh that cannot be used."""


class EngineError(InverseGraphicsError):
    """A render engine that is unknown, not installed or asked for what it cannot do."""


class ImageError(InverseGraphicsError):
    """A file that cannot be read as an image."""


class DataError(InverseGraphicsError):
    """A data set that is missing, incomplete or not what its checksum says."""


class ModelError(InverseGraphicsError):
    """Weights that are unknown, truncated or of another version."""


class RecipeError(InverseGraphicsError):
    """A training recipe, or an override of one, that is not valid."""


class StorageError(InverseGraphicsError):
    """A file that could not be written; nothing half-written is left behind."""


class TrainingError(InverseGraphicsError):
    """A training run that cannot begin, go on or be resumed."""
