# SPDX-License-Identifier: Apache-2.0
"""What the netlist's shape alone shows: no output is offered only because it would be taken."""

import tempfile
import time
from pathlib import Path

from amaranth.hdl import Signal, Value
from amaranth.lib.wiring import Out

from tools.yosys import yosys
from verif.formal.harness import Harness
from verif.formal.prover import Verdict, netlist
from verif.formal.streams import streams_of

STATE = "t:$dff* t:$adff* t:$sdff* t:$aldff* t:$_*FF*"
OTHER_STATE = "t:$dlatch* t:$sr* t:$mem* t:$_*LATCH* t:$_SR*"


class Paths(Harness):
    """A block whose output streams are looked at.

    Members
    -------
    pairs : stream -> the nets of its valid and its ready. Others as of `Harness`.
    """

    def __init__(self, block):
        super().__init__(block)
        self.pairs = {}
        for name, stream in streams_of(block, Out).items():
            seen = Signal(name=f"seen_{name}")
            self.m.d.comb += seen.eq(stream.valid)
            self.ports.append(seen)
            self.pairs[name] = (seen.name, Value.cast(stream.ready).name)


def independent(paths: Paths, faults: dict[str, str] | None = None) -> Verdict:
    """No path without a register from an output stream's `ready` to its `valid`, in the netlist of
    a block with its registers removed, and no loop of gates anywhere in it."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        commands = [*netlist(paths, faults or {}, Path(folder)), "check -assert", "simplemap",
                    f"select -assert-none {OTHER_STATE}", f"delete {STATE}"]
        for name, (valid, ready) in paths.pairs.items():
            commands += [f"select -assert-count 1 w:{valid}", f"select -assert-count 1 w:{ready}",
                         f"log checking {name}",
                         f"select -assert-none w:{valid} %ci* w:{ready} %i"]
        try:
            yosys(commands)
            detail = ""
        except RuntimeError as error:
            text = str(error)
            if "logic loop" in text:
                detail = "a loop without a register"
            elif "Assertion failed: selection is not empty" in text:
                detail = f"valid depends on ready: {text.rpartition('checking ')[2].split()[0]}"
            else:
                raise
    return Verdict(not detail, "structural", detail, time.perf_counter() - start)
