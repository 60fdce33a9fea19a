# SPDX-License-Identifier: Apache-2.0
"""`make formal`: every property on small configurations, to build/formal/summary.json."""

import json
import sys
from collections import Counter
from dataclasses import asdict

from tools.arguments import Parser
from tools.cache import ROOT
from tools.files import write_atomically
from verif.formal.properties import PROPERTIES
from verif.formal.prover import SolverMissingError, yices

FOLDER = ROOT / "build" / "formal"


def main() -> int:
    parser = Parser("make formal", __doc__)
    parser.add_argument("--block", default="", help="only the properties of this block")
    o = parser.parse_args()
    chosen = [p for p in PROPERTIES if o.block in ("", p.block)]
    if not chosen:
        blocks = ", ".join(sorted({p.block for p in PROPERTIES}))
        print(f"error: BLOCK = {o.block!r} is unknown: expected one of {blocks}", file=sys.stderr)
        return 2
    results = []
    try:
        yices()
        for number, p in enumerate(chosen):
            trace = FOLDER / f"trace_{number}_{p.block}.txt"
            trace.unlink(missing_ok=True)
            verdict = p.check(trace=trace)
            state = "PROVEN" if verdict.proven else "FAILED"
            results.append({"property": p.name, "block": p.block, "state": state,
                            **asdict(verdict)})
            print(f"{p.name:44} {p.block:15} {verdict.method:18} {verdict.seconds:6.1f} s  {state}"
                  + (f"  {verdict.detail}" if verdict.detail else "")
                  + (f" ({trace.relative_to(ROOT)})" if trace.exists() else ""), flush=True)
    except SolverMissingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    counts = Counter(r["state"].lower() for r in results)
    summary = {state: counts[state] for state in ("proven", "failed")}
    summary |= {"seconds": sum(r["seconds"] for r in results), "properties": results}
    path = FOLDER / "summary.json"
    write_atomically(path, (json.dumps(summary, indent=2) + "\n").encode())
    print(f"{counts['proven']} proven, {counts['failed']} failed: {path.relative_to(ROOT)}")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
