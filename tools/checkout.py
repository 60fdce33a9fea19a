# SPDX-License-Identifier: Apache-2.0
"""What a result depends on besides the arguments of its job: the sources and what runs them."""

import importlib.metadata
import platform
import re
from functools import cache

from tools.cache import ROOT, digest

FOLDERS = ("golden", "tools", "hdl", "driver", "train", "synth", "verif")
LOCKS = ("requirements.lock", "requirements-torch.lock")


@cache
def checkout() -> dict[str, str]:
    """The version of Python and of every package that is pinned, and a digest of the sources.

    It is of the moment at which a process first asks, which is what that process has imported.
    """
    pinned = [name for lock in LOCKS
              for name in re.findall(r"^([\w.-]+)==", (ROOT / lock).read_text(), re.M)]
    return {"Python": platform.python_version(), **{name: _version(name) for name in pinned},
            "the source": _sources()}


def difference(here: dict[str, str], there: dict[str, str]) -> str:
    """The first thing in which two checkouts differ, as `numpy 1.2 there, 1.3 here`; "" if none."""
    return next((f"{name} {there.get(name, 'absent')} there, {here.get(name, 'absent')} here"
                 for name in {**here, **there} if here.get(name) != there.get(name)), "")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # the optional ones, and other processors'
        return "absent"


def _sources() -> str:
    """Hidden files are an editor's, and bytecode follows from the rest."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("[!.]*"))
             if path.is_file() and path.suffix != ".pyc"]
    return digest(*(part for path in paths
                    for part in (path.relative_to(ROOT).as_posix(), path.read_bytes())))
