# SPDX-License-Identifier: Apache-2.0
"""`python -m train.digits`: train a 4-bit network on handwritten digits, FP32 beside it.

Writes report.html and summary.json to the output folder when the run is complete.
Exit status: 0 done, 1 RTL and golden model differ, 2 wrong options (a trace of jobs that never
came included), 130 interrupted.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from rich.console import Console

from driver.checked import BACKENDS, POLICIES, CheckedBackend, MismatchError, open_backend
from golden.config import PRESETS
from tools.errors import ToolError
from tools.files import write_atomically
from train.digits.outcome import Outcome
from train.digits.progress import Live, final_table
from train.digits.report import render
from train.digits.seeds import QUANT, trainers
from train.digits.trainer import Schedule
from train.network.schemes import SCHEMES

WAVEFORM = "trace.fst"
MAX_EPOCHS, MAX_BATCH, MAX_SEED = 1000, 1024, 2**32 - 1


class Parser(argparse.ArgumentParser):
    """Errors in one line, without the usage."""

    def error(self, message):
        self.exit(2, f"error: {message}\n")


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; exits with status 2 and one clear line where it is wrong."""
    parser = Parser(prog="python -m train.digits", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Schedule()
    parser.add_argument("--seed", type=_integer(0, MAX_SEED), default=0, metavar="N",
                        help="split, initial weights, order of samples (default: %(default)s)")
    parser.add_argument("--preset", type=_one_of(PRESETS), default="base", metavar="NAME",
                        help=f"core: {', '.join(PRESETS)} (default: %(default)s)")
    parser.add_argument("--quant", type=_one_of(SCHEMES), default=QUANT, metavar="NAME",
                        help=f"quantisation: {', '.join(SCHEMES)} (default: %(default)s)")
    parser.add_argument("--backend", type=_one_of(BACKENDS), default="rtl", metavar="NAME",
                        help=f"who computes: {', '.join(BACKENDS)} (default: %(default)s)")
    parser.add_argument("--epochs", type=_integer(1, MAX_EPOCHS), default=default.epochs,
                        metavar="N", help="passes over the training images (default: %(default)s)")
    parser.add_argument("--batch", type=_integer(1, MAX_BATCH), default=default.batch,
                        metavar="N", help="images per step (default: %(default)s)")
    parser.add_argument("--check", type=_one_of(POLICIES), default="all", metavar="WHEN",
                        help="compare RTL results with the golden model: all, first (epoch), none "
                             "(default: %(default)s)")
    parser.add_argument("--trace", type=_window, metavar="FIRST:COUNT",
                        help="record COUNT jobs from job FIRST (from 0) in trace.fst, RTL only")
    parser.add_argument("--out", type=Path, default=Path("build/run"), metavar="FOLDER",
                        help="where report.html and summary.json go (default: %(default)s)")
    return parser.parse_args(arguments)


def run(o: argparse.Namespace, console: Console) -> Outcome:
    """Train both networks, epoch by epoch side by side."""
    start = time.monotonic()
    o.out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written fails at once
    waveform = o.out / WAVEFORM
    waveform.unlink(missing_ok=True)  # an earlier run's, which would pass for this one's
    preparing = (f"preparing the {o.backend} backend, preset {o.preset} "
                 "(the RTL is built once, in about half a minute)")
    if not console.is_terminal and o.backend == "rtl":
        console.print(preparing, highlight=False, soft_wrap=True)  # a status shows nothing there
    with console.status(preparing):
        device = open_backend(o.backend, o.preset, o.trace and (waveform, *o.trace))
    policy = o.check if o.backend == "rtl" else "none"  # golden against itself shows nothing
    backend = CheckedBackend(device, policy, seed=o.seed, preset_name=o.preset, folder=o.out)
    try:
        schedule = Schedule(epochs=o.epochs, batch=o.batch)
        four_bit, fp32 = trainers(o.seed, backend, schedule, o.quant)
        with Live(console, four_bit, fp32, backend) as live:
            for epoch in range(schedule.epochs):
                backend.epoch = epoch
                four_bit.epoch(epoch, live.step)
                fp32.epoch(epoch)
                live.epoch(epoch)
        outcome = Outcome(
            o.backend, o.quant, backend, four_bit, fp32, time.monotonic() - start)
    finally:
        backend.close()
    page = render(outcome)
    summary = json.dumps(outcome.summary(), indent=2) + "\n"
    write_atomically(o.out / "report.html", page.encode())
    write_atomically(o.out / "summary.json", summary.encode())
    return outcome


def main(arguments: list[str] | None = None) -> int:
    o = options(arguments)
    console = Console()
    try:
        outcome = run(o, console)
    except KeyboardInterrupt:
        print("interrupted: the report of this run was not written", file=sys.stderr)
        return 130
    except MismatchError as error:
        print(f"MISMATCH: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console.print(final_table(outcome))
    console.print(f"report: {o.out / 'report.html'}", highlight=False, soft_wrap=True)
    if o.trace:
        waveform, first, jobs = o.out / WAVEFORM, o.trace[0], outcome.backend.jobs
        if first >= jobs:
            waveform.unlink(missing_ok=True)  # empty
            print(f"error: no waveform: job {first} was never reached, the run had {jobs} jobs "
                  f"(0..{jobs - 1})", file=sys.stderr)
            return 2
        console.print(f"waveform: {waveform}", highlight=False, soft_wrap=True)
    return 0


def _integer(lo: int, hi: int):
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not lo <= value <= hi:
            raise argparse.ArgumentTypeError(
                f"{text!r} is out of range: expected an integer {lo}..{hi}"
            )
        return value
    return parse


def _one_of(names):
    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"{text!r} is unknown: expected one of {', '.join(names)}"
            )
        return text
    return parse


def _window(text: str) -> tuple[int, int]:
    first, colon, count = text.partition(":")
    if not (colon and first.isdecimal() and count.isdecimal() and int(count) > 0):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a window of jobs: expected FIRST:COUNT with COUNT from 1, like 0:3"
        )
    return int(first), int(count)


if __name__ == "__main__":
    sys.exit(main())
