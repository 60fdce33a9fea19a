# SPDX-License-Identifier: Apache-2.0
"""`make wave BLOCK=`: one bench with an FST waveform, for GTKWave or Surfer."""

import argparse
import sys

from tools.cache import ROOT
from tools.errors import ToolError
from verif.bench.benches import bench_named
from verif.bench.runner import Settings, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="make wave", description=__doc__)
    parser.add_argument("--block", default="")
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    target = ROOT / "build" / "wave" / f"{o.block}.fst"
    try:
        bench = bench_named(o.block)
        target.parent.mkdir(parents=True, exist_ok=True)
        print(f"running bench {o.block}, seed {o.seed} ...", flush=True)
        simulate(Settings(o.block, bench.top, bench.configs[0], o.seed), waves=target)
    except (ValueError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except AssertionError as error:
        print(error, file=sys.stderr)
        print(f"waveform: {target.relative_to(ROOT)}", file=sys.stderr)
        return 1
    print(f"waveform: {target.relative_to(ROOT)} (open it with gtkwave or surfer)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
