# SPDX-License-Identifier: Apache-2.0
"""docs/driving.md, replayed: the RTL takes the page's beats and must answer with its others."""

import os
import re
from pathlib import Path

import cocotb
import numpy as np
import pytest
from amaranth.hdl import Shape

from golden.config import preset
from hdl.emit.package import fields
from hdl.engine.job import job_layout
from hdl.scales.layouts import REPORT_LAYOUT
from verif.bench.runner import Settings, simulate
from verif.bench.streams import Scoreboard, Sink, Source, StreamBench
from verif.hdl.driving_page import CONFIG, PAGE, TABLES, value

WHERE = "TETRA_DRIVING_PAGE"  # the page that the bench reads, in the simulator's process
SETTINGS = Settings("driving", "tetra_engine", CONFIG)


def tables(text: str) -> list[list[dict[str, str]]]:
    """Every table of a page, as rows of heading -> cell."""
    found = []
    for block in re.findall(r"^\|.*(?:\n\|.*)+", text, re.M):
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")]
                          for line in block.splitlines())
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def column(text: str, heading: str) -> list[int]:
    """The beats of the one column with this heading, block after block."""
    rows, = (table for table in tables(text) if heading in table[0])
    return [int(beat, 16) for row in rows for beat in row[heading].strip("`").split()]


def streams(text: str) -> dict[str, list[int]]:
    """What the page sends and expects, stream -> payloads: both GEMMs take the same operands, both
    jobs that quantise the same x."""
    return {
        "job": column(text, "job_payload"),
        "a": 2 * column(text, "a"), "b": 2 * column(text, "b"), "x": 2 * column(text, "x"),
        "result": [beat for number in (1, 2, 4)
                   for beat in column(text, f"results of job {number}")],
        "report": column(text, "report_payload"),
    }


class Replay(StreamBench):
    """The engine, fed and checked by the page."""

    def __init__(self, dut, page: dict[str, list[int]], idle: float):
        super().__init__(dut)
        self.page, rng = page, np.random.default_rng(self.settings.seed)
        self.sources = [Source(dut, name, rng, idle)
                        for name in ("job", "a", "b", "x", "bias", "mask")]
        self.boards = {name: Scoreboard(self.settings, name) for name in ("result", "report")}
        self.sinks = [Sink(dut, name, rng, board.check, idle)
                      for name, board in self.boards.items()]
        dut.clear.value = 0

    async def replay(self):
        await self.reset()
        for source in self.sources:
            source.queue.extend(self.page.get(source.name, []))
        for name, board in self.boards.items():
            for beat in self.page[name]:
                board.expect(beat, "docs/driving.md")
        await self.run(lambda: all(board.done for board in self.boards.values()))
        await self.run(lambda: False, limit=100)  # in which no more may come
        left = {source.name: len(source.queue) for source in self.sources if source.queue}
        assert not left, f"beats of the page that nobody took: {left}"
        assert not int(self.dut.flags.value)


@cocotb.test()
async def page(dut):
    """Without idle cycles, and with every stream at its own pace."""
    for idle in (0.0, 0.4):
        await Replay(dut, streams(Path(os.environ[WHERE]).read_text()), idle).replay()


def test_page(monkeypatch):
    monkeypatch.setenv(WHERE, str(PAGE))
    assert simulate(SETTINGS) == 1


@pytest.mark.parametrize(("beat", "changed"), [
    ("888d", "888c"),  # of b
    ("888888888888b50b", "888888888888b50a"),  # of a
    ("00000048", "00000049"),  # of x, or a result's data
    ("0a000000ed", "0a000000ec"),  # the last row of job 2
    ("00203fff94cede00004a", "00203fff94cedf00004a"),  # job 3's report: the entry's multiplier
    ("0004a00020402401c014", "0005a00020402401c014"),  # job 2's descriptor: its shift
])
def test_a_wrong_beat_is_noticed(monkeypatch, tmp_path, beat, changed):
    text = PAGE.read_text()
    assert beat in text
    broken = tmp_path / "driving.md"
    broken.write_text(text.replace(beat, changed, 1))
    monkeypatch.setenv(WHERE, str(broken))
    with pytest.raises(AssertionError, match=r"differs|nobody took"):
        simulate(SETTINGS)


def test_fields_are_those_of_the_payloads():
    """Field by field, descriptors and reports say what their payloads do."""
    text = PAGE.read_text()
    listed = [table for table in tables(text) if "field" in table[0]]
    for name, layout, rows in zip(("job", "report"), (job_layout(preset("tiny")), REPORT_LAYOUT),
                                  listed, strict=True):
        payloads = column(text, f"{name}_payload")
        heads = [head for head in rows[0] if head.startswith("job ")]
        assert len(payloads) == len(heads)
        for row, (path, offset, shape, _) in zip(rows, fields(name, layout), strict=True):
            assert row["field"] == f"`{path.removeprefix(name + '_')}`"
            assert int(row["lowest bit"]) == offset
            assert int(row["width"]) == Shape.cast(shape).width
            for head, payload in zip(heads, payloads, strict=True):
                assert int(row[head]) == value(payload >> offset, shape), f"{path} of {head}"


def test_tables_are_up_to_date():
    """`python -m verif.hdl.driving_page` would change nothing."""
    text = PAGE.read_text()
    for name, made in TABLES.items():
        assert f"<!-- {name} -->\n{made()}\n<!-- /{name} -->" in text
