# SPDX-License-Identifier: Apache-2.0
"""Build results kept by the content that they were made from.

A folder `build/cache/<kind>-<digest>` is made once under a lock, in a temporary name, and renamed
when it is complete, so that an interrupted build leaves nothing that looks finished and two
processes cannot disturb each other. `complete.json` holds the digest of every file that is used
later: a damaged folder is detected and rebuilt.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.errors import ToolError

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build" / "cache"
SEAL = "complete.json"


def digest(*parts: str | bytes) -> str:
    """A short digest of the parts, sensitive to where one ends and the next begins."""
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:20]


def cached(kind: str, key: str, products: Sequence[str], make: Callable[[Path], None]) -> Path:
    """The folder that holds `products`, made by `make(folder)` unless it is there and intact.

    Parameters
    ----------
    kind, key : name of the folder; the key is a digest of everything that the products depend on.
    products : paths inside the folder, sealed by their digests.
    make : writes the products into an empty folder; what it raises is passed on.

    ToolError where the cache cannot be written or locked.
    """
    if found := kept(kind, key, products):
        return found
    folder = CACHE / f"{kind}-{key}"
    with locked(folder.with_suffix(".lock")):
        if intact(folder, products):  # another process made it meanwhile
            return folder
        work = folder.with_suffix(".partial")
        for stale in (folder, work):
            shutil.rmtree(stale, ignore_errors=True)
        work.mkdir()
        try:
            make(work)
            seal = {name: _file_digest(work / name) for name in products}
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        (work / SEAL).write_text(json.dumps(seal, indent=1))
        os.rename(work, folder)
    return folder


def kept(kind: str, key: str, products: Sequence[str]) -> Path | None:
    """The folder that `cached` has made, None if there is none that is intact."""
    folder = CACHE / f"{kind}-{key}"
    return folder if intact(folder, products) else None


def intact(folder: Path, products: Sequence[str]) -> bool:
    """Whether the folder is complete and its products are what was sealed."""
    try:
        seal = json.loads((folder / SEAL).read_text())
        return all(seal[name] == _file_digest(folder / name) for name in products)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _file_digest(path: Path) -> str:
    return digest(path.read_bytes())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    elsewhere = "make `build` a link to a folder on a local disk that you may write to"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path, "w")
    except OSError as error:
        raise ToolError(f"cannot write to {path.parent} ({error.strerror}): {elsewhere}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released by the kernel however the process ends
        except OSError as error:
            raise ToolError(f"no locks in {path.parent} ({error.strerror}): {elsewhere}") from error
        yield
