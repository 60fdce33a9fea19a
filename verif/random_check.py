# SPDX-License-Identifier: Apache-2.0
"""`make random-check`: the interleaved random words through Debian's dieharder.

Two streams of a four-lane core, lane after lane, row after row: the rows of one job, and single
rows of jobs with consecutive seeds. Exit status: 0 if no test of either fails, 1 if one does, 2 if
dieharder is not installed.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from golden.random_words import BLOCK_LANES, WORD_BITS, block, lane_word
from tools.arguments import Parser, add_switch
from tools.console import open_console

LANES = 4
CHUNK = 1 << 14  # rows at a time: they stay in the processor's cache
# those that dieharder lists as good
TESTS = (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 17, 100, 101, 102, 200, 201, 202, 203, 204,
         205, 206, 207, 208, 209)
SIZES = {200: range(1, 13), 201: range(2, 6), 202: range(2, 6), 203: range(0, 33, 4)}  # of n-tuples
QUICK = (0, 2, 3, 8, 15, 100, 101, 202, 204)
STREAMS = ("rows of one job", "jobs with consecutive seeds")


def stream(name: str) -> Iterator[bytes]:
    """Words of WORD_BITS bits, the top byte first, without end."""
    start = 0
    while True:
        numbers = np.arange(start, start + CHUNK, dtype=np.uint32)
        one = np.uint32(1)
        pair = (one, numbers) if name == STREAMS[0] else (numbers, one)
        blocks = [block(*pair, group) for group in range(LANES // BLOCK_LANES)]
        words = np.stack([lane_word(blocks[lane // BLOCK_LANES], lane) for lane in range(LANES)],
                         axis=1)
        yield words.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 4 - WORD_BITS // 8:].tobytes()
        start = (start + CHUNK) % 2**32


def results(name: str, test: int, size: int | None = None) -> list[tuple[str, str]]:
    """(what dieharder calls it, PASSED or WEAK or FAILED) of one test on a stream, for n-tuples of
    a size if the test needs one; RuntimeError if dieharder gives no result.

    A p-value that is WEAK is looked at again with more samples (-Y 1), until it is decided.
    """
    columns = [x for c in ("test_name", "ntuple", "pvalues", "assessment") for x in ("-D", c)]
    with subprocess.Popen(
            ["dieharder", "-g", "200", "-d", str(test), "-Y", "1", *columns,
             *(["-n", str(size)] if size is not None else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        with suppress(BrokenPipeError):  # dieharder has what it wants
            for chunk in stream(name):
                process.stdin.write(chunk)
        with suppress(BrokenPipeError):  # what it has not read
            process.stdin.close()
        text = process.stdout.read().decode()
    found = re.findall(r"^\s*(\w+)\|\s*(\d+)\|\s*([\d.]+)\|\s*(PASSED|WEAK|FAILED)", text, re.M)
    if not found:
        raise RuntimeError(f"dieharder test {test} printed no result:\n{text[-500:]}")
    return [(f"{what} {size}, p = {p}", verdict) for what, size, p, verdict in found]


def main() -> int:
    parser = Parser("make random-check", __doc__)
    add_switch(parser, "quick", "a few tests only")
    o = parser.parse_args()
    if not shutil.which("dieharder"):
        print("error: dieharder is not installed: apt install dieharder", file=sys.stderr)
        return 2
    console = open_console()
    todo = [(name, test, size) for test in (QUICK if o.quick else TESTS)
            for size in SIZES.get(test, (None,)) for name in STREAMS]
    counts = {"PASSED": 0, "WEAK": 0, "FAILED": 0}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("dieharder", total=len(todo))
            for name, test, size in todo:
                for what, verdict in results(name, test, size):
                    counts[verdict] += 1
                    console.print(f"{verdict:6}  {name}: {what}", highlight=False)
                progress.advance(task)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(", ".join(f"{count} {verdict.lower()}" for verdict, count in counts.items()))
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
