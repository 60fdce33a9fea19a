# SPDX-License-Identifier: Apache-2.0
"""`make wave BLOCK=`: one bench with an FST waveform, for GTKWave or Surfer.

Of the binding's many jobs the one that fails is recorded, or the first where all pass.
"""

import os
import sys
from pathlib import Path

from tools.arguments import Parser, integer, seed
from tools.cache import ROOT
from tools.errors import ToolError
from verif.bench.benches import BENCHES
from verif.bench.runner import Settings, simulate
from verif.fuzz import FuzzError, fuzz_engine
from verif.regress import BINDING, JOBS, MAX_CASE, MAX_LENGTH, Run, case_of

FOLDER = ROOT / "build" / "wave"


def record(run: Run, target: Path) -> None:
    """Write the waveform of a run; AssertionError where the run fails, which has one too."""
    if run.block != BINDING:
        top = BENCHES[run.block].top
        simulate(Settings(run.block, top, run.config, run.seed, run.length), waves=target)
        return
    job = 0
    try:
        fuzz_engine(run.config, seed=run.seed, jobs=JOBS * run.length)
    except FuzzError as error:
        job = error.index
    fuzz_engine(run.config, seed=run.seed, jobs=job + 1, trace=(target, job, 1))


def main(arguments: list[str] | None = None) -> int:
    parser = Parser("make wave", __doc__)
    parser.add_argument("--block", default="")
    parser.add_argument("--case", type=integer(0, MAX_CASE), default=0)
    parser.add_argument("--seed", type=seed, default=1)
    parser.add_argument("--length", type=integer(1, MAX_LENGTH), default=1)
    o = parser.parse_args(arguments)
    target = FOLDER / f"{o.block}.fst"
    partial = FOLDER / f".{o.block}.{os.getpid()}.fst"
    shown = target.relative_to(ROOT) if target.is_relative_to(ROOT) else target
    try:
        run = Run(o.block, o.case, case_of(o.block, o.case, o.seed), o.seed, o.length)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # an earlier run's, which would pass for this one's
        print(f"running bench {o.block}, case {o.case}, seed {o.seed} ...", flush=True)
        try:
            record(run, partial)
        finally:
            if not isinstance(sys.exception(), KeyboardInterrupt) and partial.exists():
                os.replace(partial, target)
            partial.unlink(missing_ok=True)
    except (ValueError, OSError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (AssertionError, RuntimeError) as error:
        print(error, file=sys.stderr)
        if target.exists():
            print(f"waveform: {shown}", file=sys.stderr)
        return 1
    print(f"waveform: {shown} (open it with gtkwave or surfer)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
