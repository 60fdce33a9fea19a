# SPDX-License-Identifier: Apache-2.0
"""Whole files or none: an interrupted or concurrent run never leaves half of one."""

import os
import tempfile
import uuid
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` under a unique temporary name, then rename it; the last writer wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make the folder; OSError that says what to do, before any work, where it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-"):
            pass
    except OSError as error:
        raise OSError(f"OUT = {str(folder)!r} cannot be written ({error.strerror}): expected a "
                      "folder that you may write to, like OUT=build/run") from error
