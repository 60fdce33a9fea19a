# SPDX-License-Identifier: Apache-2.0
"""What programs print on: a terminal, or a file or pipe whose lines have no end."""

from rich.console import Console

LOG_WIDTH = 400  # of what is no terminal: no table of ours is wider, so that none is wrapped


def open_console() -> Console:
    """A console that fits tables to a terminal, and wraps nothing where there is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width, console.soft_wrap = LOG_WIDTH, True
    return console
