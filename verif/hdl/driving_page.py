# SPDX-License-Identifier: Apache-2.0
"""`python -m verif.hdl.driving_page`: writes the tables of docs/driving.md anew.

Only after a layout has changed: `verif.hdl.test_driving` reads the page, not this, and replays it
on the RTL. Expected values are those of the golden model.
"""

import re
import sys

import numpy as np
from amaranth.hdl import Shape

from driver.descriptor import descriptor
from golden.adaptive import Adapt, Report, Use
from golden.config import preset
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R4, INT4
from golden.rescale import Rescale, Rescaled
from golden.solver import SolveMode
from hdl.emit.package import fields
from hdl.engine.job import job_layout
from hdl.layouts import codes_layout, result_layout
from hdl.scales.layouts import REPORT_LAYOUT
from tools.cache import ROOT
from tools.files import write_atomically
from verif.bench.stimuli import operand_beats, result_words

PAGE = ROOT / "docs" / "driving.md"
CONFIG = preset("tiny")
M, N, K = 5, 7, 9
IGNORED = 8  # the code in every place that the engine ignores; operands have none


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Codes -7..7 that anybody can write down."""
    row, step = np.ogrid[:M, :K]
    col, same = np.ogrid[:N, :K]
    return (3 * row + 5 * step) % 15 - 7, (4 * col + 2 * same + 3 * col * same) % 15 - 7


def jobs() -> list[Job]:
    """The page's four jobs: sums, sums as FP4_R4, their range, and quantised by that."""
    a, b = operands()
    sums = Job.gemm(a, INT4, b, INT4)
    x = GoldenBackend(CONFIG).run(sums).codes
    eighth = Dyadic.nearest(1 / 8)
    return [sums, Job.gemm(a, INT4, b, INT4, Rescale(FP4_R4, eighth)),
            Job.quantise(x, Rescale(INT4, eighth), adapt=Adapt(
                3, solve=SolveMode.RANGE, discard=True)),
            Job.quantise(x, Rescale(INT4, eighth), adapt=Adapt(3, Use.ENTRY))]


def blocks() -> list[tuple[range, range]]:
    """The rows and columns of each block, in the engine's order."""
    return [(range(row, min(row + CONFIG.rows, M)), range(col, min(col + CONFIG.cols, N)))
            for row in range(0, M, CONFIG.rows) for col in range(0, N, CONFIG.cols)]


def hexadecimal(bits: int, width: int) -> str:
    return f"{bits:0{-(-width // 4)}x}"


def table(head: list[str], rows: list[list]) -> str:
    lines = [f"| {' | '.join(map(str, line))} |" for line in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def beats(words: list[str]) -> str:
    return "`" + " ".join(words) + "`"


def span(numbers: range) -> str:
    return f"{numbers[0]}..{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])


def matrices() -> str:
    a, b = operands()
    sums = GoldenBackend(CONFIG).run(jobs()[0]).codes
    text = []
    for name, matrix in (("A", a), ("B", b), ("sums", sums)):
        text += [f"{name}:", *("".join(f"{value:5d}" for value in row) for row in matrix), ""]
    return "```\n" + "\n".join(text[:-1]) + "\n```"


def descriptors() -> str:
    layout = job_layout(CONFIG)
    words = [descriptor(job, CONFIG) for job in jobs()]
    rows = []
    for path, offset, shape, _ in fields("job", layout):
        rows.append([f"`{path.removeprefix('job_')}`", offset, Shape.cast(shape).width,
                     *(value(word >> offset, shape) for word in words)])
    payloads = [[number, beats([hexadecimal(word, layout.size)])]
                for number, word in enumerate(words, 1)]
    return "\n\n".join([
        table(["field", "lowest bit", "width", "job 1", "job 2", "job 3", "job 4"], rows),
        table(["job", "job_payload"], payloads)])


def value(bits: int, shape) -> int:
    """What the lowest bits hold, read as a field of this shape."""
    cast = Shape.cast(shape)
    found = bits & (1 << cast.width) - 1
    return found - (1 << cast.width) if cast.signed and found >> cast.width - 1 else found


def operand_table() -> str:
    a, b = operands()
    rows = []
    for number, (down, right) in enumerate(blocks()):
        row = [number, span(down), span(right)]
        for codes, vectors in ((a[down.start:down.stop], CONFIG.rows),
                               (b[right.start:right.stop], CONFIG.cols)):
            payloads = operand_beats(codes, CONFIG, vectors, np.random.default_rng(0), IGNORED)
            width = codes_layout(CONFIG, vectors).size
            row.append(beats([hexadecimal(payload, width) for payload in payloads]))
        rows.append(row)
    return table(["block", "rows", "columns", "a", "b"], rows)


def result_beats(job: Job, result: Rescaled) -> list[list[str]]:
    """The payloads of each block's result rows."""
    words, clip = result_words(result)
    layout = result_layout(CONFIG)
    found = []
    for down, right in blocks():
        found.append([hexadecimal(layout.const({
            "data": words[r, right.start:right.stop].tolist(),
            "mask": sum(int(clip[r, c]) << i for i, c in enumerate(right)),
            "tag": {"keep": (1 << len(right)) - 1, "first": not r and not right[0],
                    "last": r == M - 1 and right[-1] == N - 1,
                    "measure": job.adapt is not None},
        }).as_bits(), layout.size) for r in down])
    return found


def results(*numbers: int) -> str:
    golden = GoldenBackend(CONFIG)
    done = [(job, golden.run(job)) for job in jobs()]
    columns = [result_beats(*done[number - 1]) for number in numbers]
    head = ["block", *(f"results of job {number}" for number in numbers)]
    return table(head, [[number, *(beats(column[number]) for column in columns)]
                        for number in range(len(blocks()))])


def inputs() -> str:
    x = jobs()[2].x
    rows = [[number, beats([hexadecimal(int(x[r, right[0]]) & 0xFFFFFFFF, 32) for r in down])]
            for number, (down, right) in enumerate(blocks())]
    return table(["block", "x"], rows)


def report_bits(report: Report) -> int:
    stats, entry = report.statistics, report.entry
    return REPORT_LAYOUT.const({
        "statistics": {name: getattr(stats, name) for name, _ in REPORT_LAYOUT["statistics"].shape},
        "applied": {"multiplier": report.scale.multiplier, "shift": report.scale.shift,
                    "zero_point": report.zero_point},
        "entry": {"scale": {"multiplier": entry.scale.multiplier, "shift": entry.scale.shift,
                            "zero_point": entry.zero_point},
                  "exponent": entry.exponent, "valid": entry.valid, "frozen": entry.frozen},
        "unset": report.unset, "clipped": report.clipped,
        "flags": {name: getattr(report, name) for name, _ in REPORT_LAYOUT["flags"].shape},
    }).as_bits()


def reports() -> str:
    golden = GoldenBackend(CONFIG)
    words = [report_bits(found.report) for job in jobs() if (found := golden.run(job)).report]
    rows = []
    for path, offset, shape, _ in fields("report", REPORT_LAYOUT):
        rows.append([f"`{path.removeprefix('report_')}`", offset, Shape.cast(shape).width,
                     *(value(word >> offset, shape) for word in words)])
    payloads = [[number, beats([hexadecimal(word, REPORT_LAYOUT.size)])]
                for number, word in zip((3, 4), words, strict=True)]
    return "\n\n".join([table(["field", "lowest bit", "width", "job 3", "job 4"], rows),
                        table(["job", "report_payload"], payloads)])


TABLES = {
    "matrices": matrices, "descriptors": descriptors, "operands": operand_table,
    "results": lambda: results(1, 2), "inputs": inputs, "reports": reports,
    "quantised": lambda: results(4),
}


def main() -> int:
    text = PAGE.read_text()
    for name, made in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        text = re.sub(re.escape(start) + ".*?" + re.escape(end),
                      lambda _, s=start, e=end, m=made: s + m() + e, text, flags=re.S)
    write_atomically(PAGE, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
