"""Where a benchmark's rows come from: a folder on this machine first, else the hub."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from stages.formats.tables import read_rows
from stages.records.record import Record
from stages.runtime.errors import Unavailable, UsageError, nearest, said

FOLDER = "R1_DATA"


def rows_of(
    *,
    file: str,
    hub: tuple[str, str | None, str],
    data: Path | None,
    revision: str | None = None,
    gated: bool = False,
) -> Iterator[Record]:
    """The rows of `file` in the data folder (`data`, else the environment's R1_DATA), else from the hub.

    `file` is a path as in `math/gsm8k_test.jsonl`; the folder may hold it under that path or by
    its name alone. `hub` is (data set, configuration, split), at `revision` where one is named; `gated` says
    that its terms must be accepted first. Raises Unavailable where there is neither.
    """
    found = local(file, data)
    if found is not None:
        return read_rows(str(found))
    return hub_rows(*hub, otherwise=file, revision=revision, gated=gated)


def parts_of(benchmark: str, part: str, known: Collection[str]) -> tuple[str, ...]:
    """The part that `benchmark:part` names, or all of `known`. Raises UsageError for one there is not."""
    if part and part not in known:
        hint = nearest(part, known) or f": it has {', '.join(known)}"
        raise UsageError(f"{benchmark} has no {part!r}{hint}")
    return (part,) if part else tuple(known)


def local(file: str, data: Path | None) -> Path | None:
    """Where `file` is on this machine, or None."""
    folder = str(data) if data is not None else os.environ.get(FOLDER, "")
    if not folder:
        return None
    places = (Path(folder) / file, Path(folder) / Path(file).name)
    return next((place for place in places if place.is_file()), None)


def hub_rows(
    repository: str,
    config: str | None,
    split: str,
    *,
    otherwise: str = "",
    revision: str | None = None,
    gated: bool = False,
) -> Iterator[Record]:
    """The rows of a hub data set's split; it is downloaded once and cached by `datasets`.

    Raises Unavailable where it cannot be had; `otherwise` is the file that would serve instead.
    """
    instead = f", or let {FOLDER} name a folder that holds {otherwise}" if otherwise else ""
    if gated:
        instead = (
            f"; accept the terms on its page on the hub, then run `hf auth login` and this again{instead}"
        )
    try:
        import datasets  # type: ignore[import-untyped]
    except ImportError:
        raise Unavailable(
            f"{repository} is on the hub, which needs datasets{instead}",
            install="pip install datasets",
        ) from None
    datasets.disable_progress_bars()
    try:
        table = datasets.load_dataset(repository, config, split=split, revision=revision)
    except Exception as error:  # the hub's client raises its transport's errors, which share no class
        raise Unavailable(
            f"cannot get {repository} ({split}) from the hub: {said(error)}{instead}"
        ) from error
    return (Record(row, place=f"{repository}:{split}[{number}]") for number, row in enumerate(table, 1))


def hub_files(repository: str, names: Sequence[str], *, otherwise: str) -> Iterator[Path]:
    """Files of a hub data set that no table is made of, one by one; each is downloaded once.

    Raises Unavailable where one cannot be had; `otherwise` is the file that would serve instead.
    """
    instead = f", or let {FOLDER} name a folder that holds {otherwise}"
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise Unavailable(
            f"{repository} is on the hub, which needs huggingface_hub{instead}",
            install="pip install huggingface_hub",
        ) from None
    for name in names:
        try:
            found = hf_hub_download(repository, name, repo_type="dataset")
        except Exception as error:  # its transport's errors share no class
            raise Unavailable(
                f"cannot get {name} of {repository} from the hub: {said(error)}{instead}"
            ) from error
        yield Path(found)
