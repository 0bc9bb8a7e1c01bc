"""The class that a folder names, judged before any weights are read."""

import diffusers
from diffusers.utils.import_utils import BACKENDS_MAPPING, DummyObject

from kilnwatt_worker.diffusers_engine.denoise import unsupported_call
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.model_folder import ModelFolder


def pipeline_class_of(folder: ModelFolder) -> Pipeline:
    """Raises WorkerError `model_unsupported`."""
    found = getattr(diffusers, folder.pipeline_class, None)
    if found is None:
        raise unsupported(folder, f"diffusers {diffusers.__version__} has no such pipeline")
    # What stands in for a class while a package that it imports is not installed.
    if isinstance(found, DummyObject):
        lacking = [name for name in found._backends if not BACKENDS_MAPPING[name][0]()]
        raise unsupported(folder, f"it needs {' and '.join(lacking)}, which is not installed")
    if (reason := unsupported_call(found)) is not None:
        raise unsupported(folder, reason)
    return found


def unsupported(folder: ModelFolder, reason: str) -> WorkerError:
    return WorkerError("model_unsupported", f"{folder.path} is a {folder.pipeline_class}: {reason}")
