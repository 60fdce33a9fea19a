# SPDX-License-Identifier: Apache-2.0
"""Every FPGA design mapped, then placed and routed once per seed; to build/synth/summary.json."""

from collections.abc import Callable

from synth.cells.libraries import MissingError
from synth.cells.sweep import keep_log
from synth.fpga.designs import FpgaDesign
from synth.fpga.fpga import (
    SEEDS,
    Device,
    Mapped,
    Placed,
    Placement,
    TooLargeError,
    summary_of,
    tool,
)
from tools.jobs import Pool
from tools.tasks import run_all


def fpga_sweep(designs: list[FpgaDesign], pool: Pool,
               progress: Callable[[str, int, int], None]) -> dict:
    """What summary.json holds under `fpga`; `progress(what, done, of)` as it comes.

    A tool that is missing is named once and what needs it is mapped only. A design or seed that
    fails is listed with its log; a design that is too large for its device says so.
    """
    tools, missing = {}, []
    for name in dict.fromkeys(design.device.tool for design in designs if design.place):
        try:
            tools[name] = tool(name)[1]
        except MissingError as error:
            missing.append(str(error))
    failures: list[dict] = []
    mapped = run_all(pool, {design: design.mapping() for design in designs},
                     lambda n: progress("lut", n, len(designs)))
    wanted = {(design, seed): Placement(mapped[design].netlist, design.device, seed)
              for design in designs for seed in SEEDS
              if design.place and design.device.tool in tools
              and isinstance(mapped[design], Mapped)}
    # the first seed tells what is too large: the others need not be tried
    firsts = {key: one for key, one in wanted.items() if key[1] == SEEDS[0]}
    placed = run_all(pool, firsts, lambda n: progress("place", n, len(wanted)))
    hopeless = {design for (design, _), found in placed.items()
                if isinstance(found, TooLargeError)}
    others = {key: one for key, one in wanted.items()
              if key not in firsts and key[0] not in hopeless}
    known = len(wanted) - len(others)
    placed |= run_all(pool, others, lambda n: progress("place", known + n, len(wanted)))
    rows = []
    for design in designs:
        if isinstance(mapped[design], Exception):
            failures.append(_failure(design, None, mapped[design]))
            continue
        seeds = {seed: found for (d, seed), found in placed.items() if d is design}
        failures += [_failure(design, seed, found) for seed, found in seeds.items()
                     if isinstance(found, Exception)]
        rows.append(_row(design, mapped[design], seeds))
    return {"tools": tools, "seeds": list(SEEDS), "designs": rows, "missing": missing,
            "failures": failures}


def _row(design: FpgaDesign, mapped: Mapped, seeds: dict[int, Placed | Exception]) -> dict:
    good = {seed: found for seed, found in sorted(seeds.items()) if isinstance(found, Placed)}
    large = next((e for e in seeds.values() if isinstance(e, TooLargeError)), None)
    fmax = {seed: found.fmax for seed, found in good.items() if found.fmax is not None}
    failed = 0 if large else len(seeds) - len(good)
    middle = summary_of(fmax, failed)
    if good:
        used = {name: count for name, (count, _) in next(iter(good.values())).used.items()}
    else:
        used = {name: count for name, (count, _) in large.used.items()} if large else {}
    used = _cells(mapped, design.device) | used
    return {
        "name": str(design), "block": design.block, "preset": design.preset, "ours": design.ours,
        "device": design.device.name, "dsp": design.dsp and design.device.has_dsp,
        "synthesis": design.device.synthesis, "macs_per_cycle": design.macs,
        "placed": bool(good), "fits": False if large else (True if good else None), **used,
        "luts_per_mac": used["luts"] / design.macs if design.macs else None,
        "fmax_mhz": middle, "fmax_by_seed": fmax, "seeds_failed": failed,
        "target_mhz": design.device.target,
        "met": None if middle is None else middle >= design.device.target,
    }


def _cells(mapped: Mapped, device: Device) -> dict[str, int]:
    """Resources by the mapped netlist's cells; nextpnr's count replaces them where it has one."""
    cells = mapped.cells
    return {
        "luts": sum(cells.get(cell, 0) * weight for cell, weight in device.lut.items()),
        "flip_flops": sum(n for cell, n in cells.items()
                          if cell == "TRELLIS_FF" or cell.startswith("SB_DFF")),
        "brams": 0, "dsps": 0,
        **{name: cells.get(cell, 0) for name, cell in device.used.items()
           if name in ("brams", "dsps")}}


def _failure(design: FpgaDesign, seed: int | None, error: Exception) -> dict:
    """What is listed of an error; the whole of it goes to a log."""
    step = "mapping" if seed is None else f"seed {seed}"
    name = "-".join(("fpga", design.block, design.preset, design.device.name,
                     "dsp" if design.dsp else "nodsp", step))
    log, message = keep_log(name, f"{design}\n{step}", error)
    return {"design": str(design), "step": step, "log": log, "message": message}
