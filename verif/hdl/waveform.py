# SPDX-License-Identifier: Apache-2.0
"""`python -m verif.hdl.waveform`: draws docs/waveform.svg, the example of docs/integration.md.

Channels of the core's two ports, cycle by cycle, from a simulation with masters and memories of
cocotbext-axi, which answer at once.
"""

import io
import json
import os
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from hdl.emit.verilog import CORE
from tools.cache import ROOT, digest
from tools.files import write_atomically
from verif.bench.runner import Settings, simulate
from verif.hdl.integration_page import A_AT, B_AT, BASE, CONFIG

PICTURE = ROOT / "docs" / "waveform.svg"
RECORD = "TETRA_WAVEFORM"  # names the file that the simulation writes
CHANNELS = {"s_axil_w": "doorbell", "m_axi_ar": "addresses to read", "m_axi_r": "what was read",
            "m_axi_aw": "addresses to write", "m_axi_w": "results", "m_axi_b": "acknowledged"}
MOVES, WAITS, LINE = "#0072b2", "#e69f00", "#444444"  # told apart by the colour-blind, too


def recorded(folder: Path) -> list[dict]:
    """What the simulation has recorded, from the doorbell on."""
    path = folder / "record.json"
    os.environ[RECORD] = str(path)
    try:
        simulate(Settings("waveform", CORE, CONFIG))
    finally:
        del os.environ[RECORD]
    record = json.loads(path.read_text())
    writes = [cycle for cycle, found in enumerate(record) if "word" in found]
    return record[writes[-1]:]


def mark(record: list[dict]) -> str:
    """What the picture of a record carries, to be told from that of another one."""
    return f"record {digest(json.dumps(record))}"


def picture(record: list[dict]) -> bytes:
    """The SVG of a record that starts with the doorbell: what moves is blue, what waits orange."""
    with matplotlib.rc_context({"svg.hashsalt": "tetra", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        axes = figure.add_subplot()
        rows = [*CHANNELS, "irq"]
        for row, name in enumerate(rows[:-1]):
            valid, ready = np.array([found[name] for found in record], bool).T
            for where, colour in ((valid & ~ready, WAITS), (valid & ready, MOVES)):
                _blocks(axes, where, len(rows) - row, colour)
        irq = np.array([found["irq"] for found in record], bool)
        _blocks(axes, irq, 1, LINE)
        asked = {found["address"]: cycle for cycle, found in enumerate(record)
                 if "address" in found}
        at = len(rows) - 0.45
        axes.text(asked[BASE], at, "descriptor", va="bottom")
        axes.text(min(asked[A_AT], asked[B_AT]), at, "operands", va="bottom")
        come = max(cycle for cycle, found in enumerate(record) if all(found["m_axi_r"]))
        goes = next(cycle for cycle, found in enumerate(record) if all(found["m_axi_w"]))
        axes.text((come + goes) / 2, len(rows) - 2, "products, and rounding row by row",
                  ha="center", va="center")
        rises = int(irq.argmax())
        axes.annotate(f"cycle {rises}", (rises, 1), (rises - 6, 1), ha="right", va="center")
        axes.set_yticks([len(rows) - row for row in range(len(rows))],
                        [f"{name.rstrip('_')}: {what}" for name, what in CHANNELS.items()]
                        + ["irq"])
        axes.set_ylim(0.4, len(rows) + 0.9)
        axes.set_xlim(0, len(record))
        axes.set_xlabel("cycles after the doorbell")
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        figure.text(0.995, 0.985, "blue: taken, orange: offered and waiting", ha="right", va="top")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={
            "Date": None, "Creator": None, "Description": mark(record)})
    return buffer.getvalue()


def _blocks(axes, where: np.ndarray, height: int, colour: str) -> None:
    """A bar over every run of cycles in which it holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], where.astype(int), [0]])))
    spans = [(start, end - start) for start, end in edges.reshape(-1, 2).tolist()]
    axes.broken_barh(spans, (height - 0.3, 0.6), color=colour, linewidth=0.8)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        write_atomically(PICTURE, picture(recorded(Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
