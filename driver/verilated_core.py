# SPDX-License-Identifier: Apache-2.0
"""The verilated core, with a memory behind its bus."""

import ctypes
import os
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from driver.transport import as_bytes
from golden.checks import as_flag, as_instance, as_integer, shown
from golden.config import Config
from golden.memory import END
from hdl.emit.verilog import verilog_file
from tools.cache import ROOT, cached
from tools.verilator import (
    CONTROL,
    OPTIONS,
    check_fst_headers,
    make_flags,
    model_key,
    run,
    verilator_bin,
)

TOP = "tetra_core"
HARNESS = ROOT / "driver" / "core_harness.cpp"
LIBRARY = "libcore_model.so"
NO_ANSWER = 4
WAITS = 10_000  # cycles for which `wait` waits at most


class _Timing(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in (
        "latency", "answer", "stall", "spacing", "seed")]


def build(config: Config, *, trace: bool = False, quick: bool = False) -> Path:
    """The shared library of the core in this configuration, built unless it is cached.

    `trace` adds FST waveforms (slower); `quick` compiles faster what then runs slower.
    """
    as_instance("config", config, Config).check_core()
    verilog = verilog_file(config, TOP)
    options = _options(config, trace, quick)
    key = model_key(verilog, HARNESS.read_bytes(), *options)
    return cached("core", key, [LIBRARY], partial(_make, verilog, options, trace)) / LIBRARY


def _make(verilog: Path, options: list[str], trace: bool, folder: Path) -> None:
    if trace:
        check_fst_headers()
    run([str(verilator_bin() / "verilator"), *options, str(CONTROL), str(verilog), str(HARNESS),
         "-Mdir", ".", "--build", "-j", "0"], folder, "building the verilated core")
    for header in folder.glob("*.gch"):
        header.unlink()


def _options(config: Config, trace: bool, quick: bool) -> list[str]:
    level = "-O0" if quick else "-O1" if trace else "-O3"
    return [
        "--cc", "--lib-create", "core_model", "--prefix", "Vmodel", "--top-module", TOP, *OPTIONS,
        "-MAKEFLAGS", f"{make_flags()} OPT_FAST={level} OPT_SLOW=-O0",
        *(["--trace-fst"] if trace else []), *(["--output-split", "0"] if quick else []),
        "-CFLAGS", f"-fPIC -DBUS={config.bus_width // 8}",
    ]


class VerilatedCore:
    """A core in simulation, and the memory that it sees: a transport (`driver.transport`).

    Parameters
    ----------
    config : Config. memory : (base, size) of zeros that the core sees, unless `attach` gives it
        others. trace : None, or the file of an FST waveform. quick : as of `build`.
    latency : cycles from an address, or a burst's last data, to the answer. stall : every channel
        idles in so many of 256 cycles. spacing : cycles from a beat of data to the next. seed : of
        those idle cycles.

    Members
    -------
    cycles : simulated so far, those of register accesses too.

    Threads: calls of several threads go one after the other, and `close` waits for the one that
    runs. A core cannot be copied or pickled.
    """

    _core: ctypes.c_void_p | None = None

    def __init__(self, config: Config, *, memory: tuple[int, int] | None = None,
                 trace: str | Path | None = None, quick: bool = False, latency: int = 50,
                 stall: int = 0, spacing: int = 1, seed: int = 1):
        self._core = None
        self._lock = threading.RLock()
        library = ctypes.CDLL(str(build(config, trace=trace is not None, quick=quick)))
        library.core_new.restype = ctypes.c_void_p
        for name in ("core_cycles", "core_strays"):
            getattr(library, name).restype = ctypes.c_uint64
        self._library, self.config = library, config
        file = None if trace is None else os.fsencode(trace)
        self._core = ctypes.c_void_p(library.core_new(file))
        self._regions: dict[int, np.ndarray] = {}
        self._cycles = 0  # of a core that is closed
        self.set_timing(latency=latency, stall=stall, spacing=spacing, seed=seed)
        if memory is not None:
            base, size = memory
            as_integer("size of memory", size, 1, END - as_integer("base of memory", base, 0))
            self.attach({base: np.zeros(size, np.uint8)})

    def set_timing(self, *, latency: int = 50, stall: int = 0, spacing: int = 1, seed: int = 1,
                   answer: int | None = None):
        """As the parameters of the class; `answer` is the latency of what is written, if that of
        what is read is another."""
        timing = _Timing(as_integer("latency", latency, 1, 100_000),
                         as_integer("answer", latency if answer is None else answer, 1, 100_000),
                         as_integer("stall", stall, 0, 255),
                         as_integer("spacing", spacing, 1, 1000),
                         as_integer("seed", seed, 0, 2**31 - 1))
        self._call("core_timing", ctypes.byref(timing))

    def attach(self, regions: dict[int, np.ndarray], failing=()) -> None:
        """Let the core see these bytes, uint8 arrays by address, instead of any before; to the
        addresses (first, last) of `failing` the memory answers SLVERR."""
        for base, data in regions.items():
            as_integer("address of memory", base, 0, END - 1)
            if not (isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 1
                    and data.flags.c_contiguous and data.flags.writeable
                    and 0 < data.size <= END - base):
                raise ValueError(f"memory at {base:#x}: expected a contiguous writeable array of "
                                 f"uint8, one axis, that ends below 2^64, got {shown(data)}")
        failing = [(as_integer("first address", first, 0, END - 1),
                    as_integer("last address", last, 0, END - 1)) for first, last in failing]
        with self._lock:
            self._call("core_forget")
            self._regions = dict(regions)
            for base, data in regions.items():
                self._call("core_region", ctypes.c_uint64(base),
                           ctypes.c_void_p(data.ctypes.data), ctypes.c_uint64(data.size))
            for first, last in failing:
                self._call("core_failing", ctypes.c_uint64(first), ctypes.c_uint64(last))

    def read32(self, address: int) -> int:
        """A register; OSError where the bus answers with an error."""
        return self._access(address, 0, write=False)

    def write32(self, address: int, value: int) -> None:
        """Write a register; OSError where the bus answers with an error."""
        self._access(address, value, write=True)

    def _access(self, address: int, value: int, *, write: bool) -> int:
        word = ctypes.c_uint32(as_integer("value of a register", value, 0, 2**32 - 1))
        as_integer("address of a register", address, 0, 2**32 - 1)
        answer = self._call("core_access", ctypes.c_uint32(address), ctypes.byref(word),
                            ctypes.c_uint32(write))
        if answer:
            what = "no answer" if answer == NO_ANSWER else f"response {answer}"
            raise OSError(f"{what} from register {address:#x}")
        return word.value

    def read_memory(self, address: int, size: int) -> np.ndarray:
        """Bytes of the memory, as they are now; OSError where there is none."""
        return self._bytes(address, size).copy()

    def write_memory(self, address: int, data: np.ndarray) -> None:
        """Change bytes of the memory; OSError where there is none."""
        self._bytes(address, as_bytes(data).size)[...] = data

    def _bytes(self, address: int, size: int) -> np.ndarray:
        """A view of them."""
        for base, data in self._regions.items():
            if base <= address and address + size <= base + data.size:
                return data[address - base:address - base + size]
        raise OSError(f"no memory at {address:#x}, {size} bytes")

    def wait(self) -> bool:
        """Simulate until the interrupt, at most for 10,000 cycles; whether it came."""
        return self.run(WAITS)

    def run(self, most: int) -> bool:
        """Simulate until the interrupt, at most so many cycles; whether it came."""
        most = as_integer("most", most, 0, 2**63)
        with self._lock:
            self._call("core_run", ctypes.c_uint64(most))
            return bool(self._call("core_irq"))

    def dump(self, on: bool) -> None:
        """Record the cycles to come in the waveform, if there is one, or do not."""
        self._call("core_dump", ctypes.c_uint32(as_flag("on", on)))

    @property
    def cycles(self) -> int:
        with self._lock:
            return self._library.core_cycles(self._core) if self._core else self._cycles

    @property
    def strays(self) -> int:
        """Bursts that broke a rule of the bus."""
        return self._call("core_strays")

    def reset(self) -> None:
        self._call("core_reset")

    def close(self) -> None:
        """End the simulation and complete the waveform, if any."""
        if self._core is None:  # not even made, maybe
            return
        with self._lock:
            if self._core is not None:
                self._cycles = self.cycles
                self._library.core_delete(self._core)
                self._core = None

    def _call(self, name: str, *arguments: Any) -> int:
        """A function of the library on this core, one at a time."""
        with self._lock:
            if self._core is None:
                raise ValueError("the core is closed: make another one")
            return getattr(self._library, name)(self._core, *arguments)

    def __reduce_ex__(self, protocol):  # what copy, deepcopy and pickle ask
        raise TypeError("a VerilatedCore cannot be copied or pickled: it owns a simulation in this "
                        "process; make another one with VerilatedCore(config)")

    def __enter__(self) -> "VerilatedCore":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    __del__ = close
