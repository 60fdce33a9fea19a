# SPDX-License-Identifier: Apache-2.0
"""`python -m train.digits`: train a 4-bit network on handwritten digits, FP32 beside it.

Writes report.html and summary.json to the output folder when the run is complete; those of an
earlier run go when it starts, so that a run that fails is not taken for one that did not.
Exit status: 0 done, 1 RTL and golden model differ, 2 wrong options (a trace of jobs that never
came included), 130 interrupted.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from rich.console import Console

from driver.checked import BACKENDS, POLICIES, MismatchError
from golden.config import PRESETS
from tools.arguments import Parser, integer, one_of, seed
from tools.console import open_console
from tools.files import check_writable, write_atomically
from train.digits.device import ABOUT, QUANT, open_device
from train.digits.outcome import Outcome
from train.digits.progress import Live, final_table
from train.digits.report import render
from train.digits.seeds import trainers
from train.digits.trainer import Schedule

WAVEFORM, REPORT, SUMMARY = "trace.fst", "report.html", "summary.json"
MAX_EPOCHS, MAX_BATCH, MAX_JOB = 1000, 1024, 10**9


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; exits with status 2 and one clear line where it is wrong."""
    parser = Parser("python -m train.digits", __doc__)
    default = Schedule()
    parser.add_argument("--seed", type=seed, default=0, metavar="N",
                        help="split, initial weights, order of samples (default: %(default)s)")
    parser.add_argument("--preset", type=one_of(PRESETS), default="base", metavar="NAME",
                        help=f"core: {', '.join(PRESETS)} (default: %(default)s)")
    parser.add_argument("--quant", type=one_of(ABOUT), default=QUANT, metavar="NAME",
                        help=f"quantisation: {', '.join(ABOUT)} (default: %(default)s)")
    parser.add_argument("--backend", type=one_of(BACKENDS), default="rtl", metavar="NAME",
                        help=f"who computes: {', '.join(BACKENDS)} (default: %(default)s)")
    parser.add_argument("--epochs", type=integer(1, MAX_EPOCHS), default=default.epochs,
                        metavar="N", help="passes over the training images (default: %(default)s)")
    parser.add_argument("--batch", type=integer(1, MAX_BATCH), default=default.batch,
                        metavar="N", help="images per step (default: %(default)s)")
    parser.add_argument("--check", type=one_of(POLICIES), default="all", metavar="WHEN",
                        help="compare RTL results with the golden model: all, first (epoch), none "
                             "(default: %(default)s)")
    parser.add_argument("--trace", type=_window, metavar="FIRST:COUNT",
                        help="record COUNT jobs from job FIRST (from 0) in trace.fst, RTL only")
    parser.add_argument("--out", type=_folder, default=Path("build/run"), metavar="FOLDER",
                        help="where report.html and summary.json go (default: %(default)s)")
    o = parser.parse_args(arguments)
    if o.trace and o.backend != "rtl":
        parser.error(f"TRACE with BACKEND={o.backend}: only the RTL has waveforms; leave one of "
                     "them out")
    return o


def run(o: argparse.Namespace, console: Console) -> Outcome:
    """Train both networks, epoch by epoch side by side."""
    start = time.monotonic()
    check_writable(o.out)
    waveform = o.out / WAVEFORM
    for name in (REPORT, SUMMARY, WAVEFORM):
        (o.out / name).unlink(missing_ok=True)  # an earlier run's, which would pass for this one's
    preparing = f"preparing the {o.backend} backend, preset {o.preset}"
    if o.backend == "rtl":
        preparing += " (the RTL is built once, in one to five minutes)"
        if not console.is_terminal:
            console.print(preparing)  # a status shows nothing there
    schedule = Schedule(epochs=o.epochs, batch=o.batch)
    policy = o.check if o.backend == "rtl" else "none"  # golden against itself shows nothing
    with console.status(preparing):
        backend = open_device(o.quant, o.backend, o.preset, schedule.sizes, o.batch, policy=policy,
                              seed=o.seed, folder=o.out, trace=o.trace and (waveform, *o.trace))
    console.print(f"ready after {time.monotonic() - start:.0f} s; training")
    try:
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
        if o.trace and backend.jobs <= o.trace[0]:
            waveform.unlink(missing_ok=True)  # empty
    page = render(outcome)
    summary = json.dumps(outcome.summary(), indent=2) + "\n"
    write_atomically(o.out / REPORT, page.encode())
    write_atomically(o.out / SUMMARY, summary.encode())
    return outcome


def main(arguments: list[str] | None = None) -> int:
    o = options(arguments)
    console = open_console()
    try:
        outcome = run(o, console)
    except KeyboardInterrupt:
        print("interrupted: the report of this run was not written", file=sys.stderr)
        return 130
    except MismatchError as error:
        print(f"MISMATCH: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console.print(final_table(outcome))
    console.print(f"report: {o.out / REPORT}", soft_wrap=True)
    if o.trace:
        waveform, first, jobs = o.out / WAVEFORM, o.trace[0], outcome.backend.jobs
        if first >= jobs:
            print(f"error: no waveform: job {first} was never reached, the run had {jobs} jobs "
                  f"(0..{jobs - 1})", file=sys.stderr)
            return 2
        console.print(f"waveform: {waveform}", soft_wrap=True)
    return 0


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError(
            f"{text!r} names no folder: expected one that you may write to, like OUT=build/run")
    return Path(text)


def _window(text: str) -> tuple[int, int]:
    first, colon, count = text.partition(":")
    try:
        return integer(0, MAX_JOB)(first), integer(1, MAX_JOB)(count if colon else "")
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a window of jobs: expected FIRST:COUNT, FIRST 0..{MAX_JOB} and COUNT "
            f"1..{MAX_JOB}, like TRACE=0:3") from None


if __name__ == "__main__":
    sys.exit(main())
