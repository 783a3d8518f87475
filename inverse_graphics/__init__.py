"""From an image to a scene, and from a scene to an image.

    import inverse_graphics as ig

    parse = ig.load_parser().parse("table.png")
    ig.render(parse.scene).save("again.png")

Every name is imported when it is first used, so that importing the package loads neither torch nor numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from inverse_graphics import moved_modules as _moved_modules

__version__ = "0.1.0"

_moved_modules.install()

if TYPE_CHECKING:
    from inverse_graphics.errors import AssetError as AssetError
    from inverse_graphics.errors import DataError as DataError
    from inverse_graphics.errors import DeviceError as DeviceError
    from inverse_graphics.errors import EngineError as EngineError
    from inverse_graphics.errors import ImageError as ImageError
    from inverse_graphics.errors import InverseGraphicsError as InverseGraphicsError
    from inverse_graphics.errors import MissingExtraError as MissingExtraError
    from inverse_graphics.errors import ModelError as ModelError
    from inverse_graphics.errors import RecipeError as RecipeError
    from inverse_graphics.errors import SceneError as SceneError
    from inverse_graphics.errors import StorageError as StorageError
    from inverse_graphics.errors import TrainingError as TrainingError
    from inverse_graphics.families.family import SceneFamily as SceneFamily
    from inverse_graphics.families.family import SceneSample as SceneSample
    from inverse_graphics.families.registry import load_family as load_family
    from inverse_graphics.families.registry import shipped_families as shipped_families
    from inverse_graphics.inference.parse import Parse as Parse
    from inverse_graphics.inference.parse import ParsedCamera as ParsedCamera
    from inverse_graphics.inference.parse import ParsedObject as ParsedObject
    from inverse_graphics.inference.parser import SceneParser as SceneParser
    from inverse_graphics.inference.parser import load_parser as load_parser
    from inverse_graphics.io.images import ImageLike as ImageLike
    from inverse_graphics.io.images import read_image as read_image
    from inverse_graphics.io.images import write_depth as write_depth
    from inverse_graphics.io.images import write_image as write_image
    from inverse_graphics.io.images import write_mask as write_mask
    from inverse_graphics.models.weights import LoadedModel as LoadedModel
    from inverse_graphics.models.weights import ModelEntry as ModelEntry
    from inverse_graphics.models.weights import list_models as list_models
    from inverse_graphics.models.weights import load_model as load_model
    from inverse_graphics.optimisation.optimiser import OptimiseResult as OptimiseResult
    from inverse_graphics.optimisation.optimiser import SceneOptimiser as SceneOptimiser
    from inverse_graphics.optimisation.optimiser import optimise as optimise
    from inverse_graphics.packs.mesh import MeshLibrary as MeshLibrary
    from inverse_graphics.packs.pack import Pack as Pack
    from inverse_graphics.packs.pack import load_library as load_library
    from inverse_graphics.packs.pack import load_pack as load_pack
    from inverse_graphics.packs.pack import shipped_packs as shipped_packs
    from inverse_graphics.rendering.engine import RenderEngine as RenderEngine
    from inverse_graphics.rendering.engines import EngineStatus as EngineStatus
    from inverse_graphics.rendering.engines import available_engines as available_engines
    from inverse_graphics.rendering.engines import make_engine as make_engine
    from inverse_graphics.rendering.rendered_scene import RenderedScene as RenderedScene
    from inverse_graphics.rendering.rendered_scene import render as render
    from inverse_graphics.scene.scene import Background as Background
    from inverse_graphics.scene.scene import Camera as Camera
    from inverse_graphics.scene.scene import Light as Light
    from inverse_graphics.scene.scene import Scene as Scene
    from inverse_graphics.scene.scene import SceneObject as SceneObject
    from inverse_graphics.scene.scene import Table as Table
    from inverse_graphics.scene.scene_file import load_scene as load_scene
    from inverse_graphics.scene.scene_file import save_scene as save_scene
    from inverse_graphics.scene.scene_file import shipped_scenes as shipped_scenes
    from inverse_graphics.training.recipe import Recipe as Recipe
    from inverse_graphics.training.recipe import load_recipe as load_recipe
    from inverse_graphics.training.run import TrainingResult as TrainingResult
    from inverse_graphics.training.run import export_run as export_run
    from inverse_graphics.training.run import train as train
else:
    _NAMES_BY_MODULE = {
        "errors": (
            "AssetError", "DataError", "DeviceError", "EngineError", "ImageError", "InverseGraphicsError",
            "MissingExtraError", "ModelError", "RecipeError", "SceneError", "StorageError", "TrainingError",
        ),
        "families.family": ("SceneFamily", "SceneSample"),
        "families.registry": ("load_family", "shipped_families"),
        "inference.parse": ("Parse", "ParsedCamera", "ParsedObject"),
        "inference.parser": ("SceneParser", "load_parser"),
        "io.images": ("ImageLike", "read_image", "write_depth", "write_image", "write_mask"),
        "models.weights": ("LoadedModel", "ModelEntry", "list_models", "load_model"),
        "optimisation.optimiser": ("OptimiseResult", "SceneOptimiser", "optimise"),
        "packs.mesh": ("MeshLibrary",),
        "packs.pack": ("Pack", "load_library", "load_pack", "shipped_packs"),
        "rendering.engine": ("RenderEngine",),
        "rendering.engines": ("EngineStatus", "available_engines", "make_engine"),
        "rendering.rendered_scene": ("RenderedScene", "render"),
        "scene.scene": ("Background", "Camera", "Light", "Scene", "SceneObject", "Table"),
        "scene.scene_file": ("load_scene", "save_scene", "shipped_scenes"),
        "training.recipe": ("Recipe", "load_recipe"),
        "training.run": ("TrainingResult", "export_run", "train"),
    }  # fmt: skip
    _MODULE_OF = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}
    __all__ = list(_MODULE_OF)

    def __getattr__(name):
        if name not in _MODULE_OF:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
