"""What of a checkpoint is not its weights: configuration, generation settings, tokenizer.

All of it is written once before the first update, so that nothing a library refuses to save is found out at
the end.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.checkpoints.checkpoint import writing
from stages.runtime.errors import R1Error, StreamError, said


@contextmanager
def kept_as_is(model: Any, directory: Path) -> Iterator[None]:
    """Lets transformers save `model` with generation settings that it reads and would not write.

    Such as a temperature without `do_sample`: they are the parent's, and stay what they were.
    """
    settings: Any = getattr(model, "generation_config", None)
    try:
        if settings is not None:
            settings.validate(strict=True)
    except ValueError:
        model.generation_config = type(settings)()
        try:
            yield
        finally:
            model.generation_config = settings
        settings.to_json_file(directory / "generation_config.json", keys_to_pop=["compile_config"])
    else:
        yield


def write_settings(model: Any, directory: Path) -> None:
    """Configuration, generation settings and own code of `model`, as its `save_pretrained` writes them."""
    model.config.save_pretrained(directory)
    if model.can_generate():
        with kept_as_is(model, directory):
            model.generation_config.save_pretrained(directory)
    if model._auto_class is not None:  # code of the checkpoint's own goes along
        from transformers.dynamic_module_utils import custom_object_save

        custom_object_save(model, directory, config=model.config)


def rehearse(model: Any, tokenizer: Any, directory: Path, weights: int) -> None:
    """Saves all but the weights into `directory`, and deletes it.

    Raises R1Error for whatever a library refuses to save, StreamError where the disk has no room for
    `weights` bytes.
    """
    free = shutil.disk_usage(directory.parent).free
    if free < weights:
        raise StreamError(
            f"cannot write a checkpoint beside {directory.parent}: it takes {weights / 1e9:.2f} GB, "
            f"and {free / 1e9:.2f} GB are free"
        )
    try:
        with writing(directory):
            directory.mkdir(exist_ok=True)
            write_settings(model, directory)
            tokenizer.save_pretrained(directory)
    except (R1Error, MemoryError):
        raise
    except Exception as error:  # whatever a library says of a file of the parent's
        why = said(error)[:240]
        raise R1Error(f"the model could not be saved after training: {why}; mend its files") from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)
