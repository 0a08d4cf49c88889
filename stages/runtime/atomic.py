"""A file or directory in the making: filled under a name of its own, forced to disk, then renamed.

`.NAME.r1draft` beside NAME is locked as long as it is filled. One that a killed run left is therefore found
and begun anew by the next run that makes NAME, and two runs never fill the same. Nothing else is ever
deleted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from stages.runtime.errors import StreamError, UsageError, naming
from stages.runtime.lock import hold

SUFFIX = ".r1draft"
LONGEST = 200  # bytes of a name that leave room for the rest under the usual limit of 255

# A lock does not keep this process from itself, as where two options name one file.
_filled_here: dict[Path, object] = {}


def draft_of(path: Path) -> Path:
    """Where `path` is made before it appears."""
    name = path.name
    if len(os.fsencode(name)) > LONGEST:
        name = hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()
    return path.with_name(f".{name}{SUFFIX}")


class _Output(io.FileIO):
    """Names the file that cannot be written, and leaves other errors of who writes it alone."""

    def __init__(self, handle: int, path: Path, *, closefd: bool) -> None:
        super().__init__(handle, "wb", closefd=closefd)
        self._path = path

    def write(self, data: Any, /) -> int:
        with writing(self._path):
            return super().write(data)

    def close(self) -> None:
        with writing(self._path):
            super().close()


def writing(path: str | Path) -> contextlib.AbstractContextManager[None]:
    """Raises StreamError where the system cannot write `path` in the block."""
    return naming("write", path)


@contextlib.contextmanager
def device(path: Path) -> Iterator[BinaryIO]:
    """A stream into what is there already, such as a pipe. Raises StreamError where it cannot be written."""
    with writing(path):
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    with io.BufferedWriter(_Output(handle, path, closefd=True)) as stream:
        yield stream


@contextlib.contextmanager
def file(path: Path) -> Iterator[BinaryIO]:
    """A stream to fill; when the block ends without an error, what it holds appears as `path`.

    Raises UsageError where another run is making `path`, StreamError where it cannot be written.
    """
    if path.is_dir():
        raise StreamError(f"cannot write {path}: it is a directory")
    with _draft(path, os.O_WRONLY) as (draft, handle):
        with io.BufferedWriter(_Output(handle, path, closefd=False)) as stream:
            yield stream
        with writing(path):
            _force(handle)
            _check_own(draft, handle, path)
            os.rename(draft, path)


@contextlib.contextmanager
def directory(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A directory to fill; when the block ends without an error, it appears as `path`.

    What stands there is replaced only if `replace` says so. Raises as `file` does, also where `path` has come
    to exist.
    """
    with _draft(path, os.O_RDONLY) as (draft, handle):
        yield draft
        with writing(path):
            _publish_modes(draft)
            _force_all(draft)
            _check_own(draft, handle, path)
            if replace and path.exists():
                old = path.with_name(f".{path.name}.old{SUFFIX}")
                shutil.rmtree(old, ignore_errors=True)
                os.rename(path, old)
                os.rename(draft, path)
                shutil.rmtree(old)
            else:
                os.rename(draft, path)


def force(path: Path) -> None:
    """Returns when the file or directory `path` is on disk as it is now, as far as the system can say."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _force(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _draft(path: Path, access: int) -> Iterator[tuple[Path, int]]:
    """The draft of `path`, new, with the handle that keeps it locked. It is gone when the block ends."""
    draft = draft_of(path)
    mine = Path(os.path.realpath(draft.parent)) / draft.name
    token = object()
    if _filled_here.setdefault(mine, token) is not token:
        raise UsageError(f"{path} is written twice by one command; name two files")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = _begin(draft, path, access)
        try:
            yield draft, handle
            # One may write into a folder that one cannot read.
            with writing(path), contextlib.suppress(PermissionError):
                force(path.parent)
        finally:
            with contextlib.suppress(OSError):
                if same(draft, handle):
                    _delete(draft)
            with contextlib.suppress(OSError):  # what was to be written has been forced to disk
                os.close(handle)
    finally:
        del _filled_here[mine]


def _begin(draft: Path, path: Path, access: int) -> int:
    while True:
        try:
            if access == os.O_RDONLY:
                os.mkdir(draft)
                handle = os.open(draft, access | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            else:
                handle = os.open(draft, access | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            _clear(draft, path)
            continue
        except FileNotFoundError:  # another run took the new directory for one that was left behind
            if not draft.parent.is_dir():
                raise
            continue
        try:
            hold(handle, str(path))
            if same(draft, handle):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _clear(draft: Path, path: Path) -> None:
    """Deletes a draft that a killed run left. Raises UsageError where it is being filled."""
    try:
        mode = draft.lstat().st_mode
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise StreamError(f"cannot write {path}: {draft} is in the way; move it")
        access = os.O_RDONLY if stat.S_ISDIR(mode) else os.O_WRONLY
        handle = os.open(draft, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:  # it is another user's, say
        raise StreamError(f"cannot write {path}: {draft} is in the way: {error.strerror or error}") from error
    try:
        hold(handle, str(path))
        if same(draft, handle):
            _delete(draft)
    finally:
        os.close(handle)


def _delete(draft: Path) -> None:
    if draft.is_dir():
        shutil.rmtree(draft)
    else:
        draft.unlink()


def same(path: Path, handle: int, *, follow: bool = False) -> bool:
    """Whether `path`, or where it leads as a link, is still what `handle` has open."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=follow), os.fstat(handle))
    except FileNotFoundError:
        return False


def _check_own(draft: Path, handle: int, path: Path) -> None:
    # Where the file system keeps no locks, another run may have taken ours for one left behind.
    if not same(draft, handle):
        raise StreamError(f"cannot write {path}: {draft} was replaced meanwhile, by another run perhaps")


def _publish_modes(draft: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    wanted = 0o666 & ~mask
    for made in draft.rglob("*"):  # safetensors keeps its files from everyone else
        mode = made.lstat().st_mode
        if stat.S_ISREG(mode) and stat.S_IMODE(mode) != wanted:
            made.chmod(wanted)


def _force_all(draft: Path) -> None:
    for folder, _, names in os.walk(draft):
        for name in names:
            force(Path(folder, name))
        force(Path(folder))


def _force(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that has no such thing
            raise
