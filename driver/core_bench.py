# SPDX-License-Identifier: Apache-2.0
"""How busy a core is: `python -m driver.core_bench`, GEMMs of a step on the verilated core.

Utilization is the products of a GEMM over those that the tile could make in all cycles from the
doorbell to the last acknowledged write: descriptors, loads and stores included. Memory gives a beat
per cycle and answers 50 cycles late. Traffic is all bytes of all beats over the least that the
buffers allow: every operand once, b for each strip again what lies of a.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from driver.verilated_core import VerilatedCore
from golden.config import Config, preset
from golden.descriptor import B_FORMATS, BYTES, CoreOp, Descriptor
from golden.formats import FP4_R2, INT4, INT4_SYM, INT32
from hdl.core.register_map import register_map
from tools.arguments import Parser
from tools.console import open_console

SIZES = {1024: 1, 256: 4, 64: 16}  # and how many jobs lie in the ring
LATENCY, PATIENCE = 50, 20_000_000
BASE = 1 << 32


class Phase(NamedTuple):
    """How one GEMM of a layer's step reads and writes.

    Members
    -------
    b_format, format : of operand b and of the result. turns : which of a, b and c are transposed.
    mask : whether a clip mask is written.
    """

    b_format: Any
    format: Any
    turns: str = ""
    mask: bool = False


# y = x w^T; dx = dy w, on the core w^T times dy; dw = dy^T x, on the core x^T times dy^T, written
# as w lies (`train/core` leaves it turned)
PHASES = {
    "fprop": Phase(INT4, INT4_SYM, mask=True),
    "dgrad": Phase(FP4_R2, FP4_R2, "ac"),
    "wgrad": Phase(FP4_R2, INT32, "abc"),
    "untransposed": Phase(FP4_R2, INT4),
}


class Measured(NamedTuple):
    """Of one phase: utilization, cycles, and traffic over the least."""

    utilization: float
    cycles: int
    traffic: float


def measure(core: VerilatedCore, size: int, phase: Phase, jobs: int) -> Measured:
    """A ring of `jobs` GEMMs of size x size x size, from the doorbell to the interrupt."""
    codes, words = size * -(-size // 2), phase.format == INT32
    result = 4 * size * size if words else codes
    at, places = BASE + 64 * BYTES, {}
    for name, length in (("a", codes), ("b", codes), ("mask_out", size * -(-size // 8))):
        places[name], at = at, at + -(-length // 64) * 64
    data = np.random.default_rng(0).integers(0, 256, at - BASE + jobs * result, dtype=np.uint8)
    ring = []
    for job in range(jobs):
        ring.append(Descriptor(
            op=CoreOp.GEMM, m=size, n=size, k=size, b_format=B_FORMATS.index(phase.b_format),
            format=phase.format.encoding, shift=24, interrupt=job == jobs - 1,
            mask_out=phase.mask,
            **{f"transpose_{turn}": True for turn in phase.turns},
            a_address=places["a"], b_address=places["b"], c_address=at + job * result,
            mask_out_address=places["mask_out"], a_stride=size // 2, b_stride=size // 2,
            c_stride=result // size, mask_out_stride=size // 8))
    packed = b"".join(d.pack() for d in ring)
    data[:len(packed)] = np.frombuffer(packed, np.uint8)
    start(core, data)
    write = writer(core)
    core.run(1)
    before = core.cycles
    write("ring_tail", jobs)
    if not core.run(PATIENCE) or read(core, "error"):
        raise RuntimeError(f"{jobs} GEMMs of {size}: error {read(core, 'error')}")
    cycles = core.cycles - before
    write("counter_control", 1)
    beats = read(core, "beats_read_low") + read(core, "beats_written_low")
    config = core.config
    least = jobs * (codes * -(-size // config.strip) + codes + result
                    + phase.mask * size * size // 8 + BYTES)
    return Measured(jobs * size**3 / config.macs_per_cycle / cycles, cycles,
                    beats * config.bus_width / 8 / least)


def start(core: VerilatedCore, data: np.ndarray) -> None:
    """Reset the core; it sees `data`, of which the first entries are its ring."""
    core.reset()
    core.set_timing(latency=LATENCY)
    core.attach({BASE: data})
    write = writer(core)
    for name, value in (("read_base", 0), ("read_limit", 2**64 - 1), ("write_base", 0),
                        ("write_limit", 2**64 - 1), ("ring_base", BASE)):
        write(f"{name}_low", value & 0xFFFF_FFFF)
        write(f"{name}_high", value >> 32)
    for name, value in (("ring_size", 6), ("interrupt_enable", 3), ("control", 1),
                        ("interrupt_status", 7), ("counter_control", 2)):
        write(name, value)


def read(core: VerilatedCore, name: str) -> int:
    return core.read32(register_map(core.config).registers[name].address)


def writer(core: VerilatedCore) -> Callable[[str, int], None]:
    registers = register_map(core.config).registers
    return lambda name, value: core.write32(registers[name].address, value)


def utilization(config: Config, progress: Callable[[str], None] = lambda what: None,
                ) -> dict[str, dict[str, Measured]]:
    """Of every size and phase."""
    found: dict[str, dict[str, Measured]] = {}
    with VerilatedCore(config) as core:
        for size, jobs in SIZES.items():
            for name, phase in PHASES.items():
                progress(f"{name} of {size}")
                found.setdefault(str(size), {})[name] = measure(core, size, phase, jobs)
    return found


def main() -> int:
    Parser("python -m driver.core_bench", __doc__).parse_args()
    console = open_console()
    for bus in (512, 128):
        config = preset("base") if bus == 512 else Config(**preset("base").as_dict() | {
            "bus_width": bus})
        with console.status("") as status:
            found = utilization(config, status.update)
        table = Table(title=f"base, {bus // 8} bytes per beat", title_justify="left")
        for name in ("size", "phase", "utilization", "cycles", "traffic / least"):
            table.add_column(name, justify="left" if name == "phase" else "right")
        for size, phases in found.items():
            for name, each in phases.items():
                table.add_row(size, name, f"{each.utilization:.3f}", f"{each.cycles:,}",
                              f"{each.traffic:.2f}")
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
