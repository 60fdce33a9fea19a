# SPDX-License-Identifier: Apache-2.0
"""Command lines: settings that several programs take, and errors that say what to change.

A setting has one name at both doors, `make run SEED=3` and `--seed 3`; errors call it `SEED`.
"""

import argparse
import os
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

MAX_SEED = 2**32 - 1  # what numpy, the binding and the random words all take
MAX_LISTED = 30  # names in an error; of more the nearest
MAX_JOBS = 1024  # processes at once: more is a slip of the finger


class Parser(argparse.ArgumentParser):
    """Errors in one line that names setting, value, what is allowed and an example; status 2."""

    def __init__(self, prog: str, description: str | None):
        super().__init__(prog=prog, description=description, allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str):
        if found := re.match(r"argument --([\w-]+): (['\"].*)", message, re.S):
            setting = found[1].replace("-", "_")
            default = self.get_default(setting)
            message = f"{setting.upper()} = {found[2]}"
            if isinstance(default, int) and "expected an integer" in message:
                message += f", like {setting.upper()}={default}"
        elif found := re.match(r"argument --(\w+): not allowed with argument --(\w+)", message):
            message = f"{found[1].upper()} and {found[2].upper()} together: give one of them"
        self.exit(2, f"error: {message}\n")


def integer(lo: int, hi: int) -> Callable[[str], int]:
    """A parser of decimal integers lo..hi."""
    def parse(text: str) -> int:
        digits = re.fullmatch(r"[+-]?[0-9]{1,20}", text)
        if not digits or not lo <= int(text) <= hi:
            raise argparse.ArgumentTypeError(
                f"{text!r} is out of range: expected an integer {lo}..{hi}")
        return int(text)
    return parse


seed = integer(0, MAX_SEED)
processes = integer(1, MAX_JOBS)


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """A parser of names from a list."""
    def parse(text: str) -> str:
        if text not in names:
            known = list(names)
            near = get_close_matches(text, known, 5, 0) if len(known) > MAX_LISTED else known
            more = f" or another of {len(known)}" if len(known) > len(near) else ""
            raise argparse.ArgumentTypeError(
                f"{text!r} is unknown: expected one of {', '.join(near)}{more}")
        return text
    return parse


def switch(text: str) -> bool:
    """1 is on; 0 and nothing are off."""
    if text not in ("", "0", "1"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither on nor off: expected 1, or 0 or nothing")
    return text == "1"


def address(text: str) -> str:
    """tcp://host:port, or nothing."""
    if text and not re.fullmatch(r"(tcp|tls)://([^\s/:]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address: expected tcp://host:port, like "
                                         "SCHEDULER=tcp://127.0.0.1:8786")
    return text


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Declare `--jobs` and `--scheduler`: who runs what can be done at once, see `tools.jobs`."""
    parser.add_argument("--jobs", type=processes, default=os.cpu_count() or 1,
                        help="processes of this machine")
    parser.add_argument("--scheduler", type=address, default="", metavar="tcp://HOST:PORT",
                        help="of Dask, whose workers run the jobs instead")


def add_switch(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """Declare `--name`, which make gives as `--name=1`, `--name=0` or `--name=`."""
    parser.add_argument(f"--{name}", type=switch, nargs="?", const=True, default=False,
                        metavar="1", help=text)
