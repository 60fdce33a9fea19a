# SPDX-License-Identifier: Apache-2.0
"""`make test`: whether TESTS= and WORKERS= make sense, before the minutes that lint takes."""

import argparse
import sys
from pathlib import Path

from tools.arguments import Parser, processes


def paths(text: str) -> list[Path]:
    """The files and folders of `text`, each perhaps with ::test behind it, as pytest takes them."""
    words = text.split()
    if not words:
        raise argparse.ArgumentTypeError(f"{text!r} names no tests: expected paths, like "
                                         "TESTS=verif/train")
    for word in words:
        if not Path(word.partition("::")[0]).exists():
            raise argparse.ArgumentTypeError(f"{word!r} does not exist: expected paths of tests, "
                                             "like TESTS=verif/train")
    return [Path(word) for word in words]


def main(arguments: list[str] | None = None) -> int:
    parser = Parser("make test", __doc__)
    parser.add_argument("--tests", type=paths, default=[Path("verif")])
    parser.add_argument("--workers", type=processes, default=1)
    parser.parse_args(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
