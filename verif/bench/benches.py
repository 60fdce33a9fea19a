# SPDX-License-Identifier: Apache-2.0
"""Every cocotb bench with its top and configurations: what `make test` and `make regress` run."""

from dataclasses import dataclass

from golden.config import TARGETS, Config, preset
from verif.bench.runner import Settings, simulate


@dataclass(frozen=True)
class Bench:
    """A bench: the module under test, its configurations, how many cocotb tests it has, and whether
    it also runs on the block's gates."""

    top: str
    configs: tuple[Config, ...]
    tests: int
    on_gates: bool = True


TINY = Config(2, 2, 8, strip=8)
SERIAL = preset("tiny")  # carry chains, one row of the rescaling unit after the other
FPGA = Config(2, 2, 8, pipeline=3, target="fpga", strip=8)  # as preset `small` has them
SERIAL_LEAST = Config(1, 4, 1, dim_width=4, serial=True, strip=8)  # a bench can fill its sums
ONE = Config(1, 1, 1, accumulator_width=20, dim_width=4, tensors=1, strip=8)  # the least

# nearly nothing but a rescaling unit: for what streams words by the million through an engine
WORDS = Config(1, 8, 1, pipeline=1)

# beats of four runs, of half a run, of four runs, of two
BUSES = (Config(2, 2, 32), Config(2, 2, 32, bus_width=64),
         Config(2, 2, 4, bus_width=64, address_width=32),
         Config(2, 4, 16, bus_width=128, target="fpga", address_width=45))

CORES = {
    "asic": Config(2, 2, 4, bus_width=64, depth=16, strip=8, dim_width=8),
    "fpga": Config(4, 2, 8, 24, bus_width=128, depth=32, strip=16, dim_width=8, radices=(2,),
                   stochastic=False, target="fpga", serial=True, address_width=36),
}

BENCHES = {
    "multiplier": Bench("tetra_multiplier", (
        *(Config(2, 2, 8, radices=radices, target=target)
          for target in TARGETS for radices in ((4, 2), (4,), (2,))),
        Config(1, 1, 1, target="fpga")), tests=1),
    "dot_product": Bench("tetra_dot_product", (
        TINY, preset("base"), Config(2, 2, 4, pipeline=1), Config(2, 2, 64, pipeline=3),
        FPGA, Config(1, 1, 1, pipeline=1, target="fpga"),
        Config(1, 1, 64, pipeline=3, target="fpga"),
        Config(2, 2, 32, pipeline=3, radices=(2,))), tests=1),
    "mac_tile": Bench("tetra_mac_tile", (
        TINY, Config(4, 2, 4, accumulator_width=20), ONE,
        Config(1, 1, 32, accumulator_width=20),  # a single sum overflows
        FPGA, SERIAL, Config(4, 2, 8, radices=(2,), pipeline=3)), tests=7),
    "rescale": Bench("tetra_rescale_unit", (
        TINY, Config(2, 2, 8, radices=(2,)), Config(2, 2, 8, stochastic=False), SERIAL,
        Config(2, 2, 8, serial=True)), tests=5),
    "statistics": Bench("tetra_statistics_unit", (
        TINY, Config(1, 8, 1), SERIAL, SERIAL_LEAST), tests=1),
    "solver": Bench("tetra_scale_solver", (TINY,), tests=3),
    "engine": Bench("tetra_engine", (
        TINY, Config(4, 2, 4, 20, radices=(4,), stochastic=False, strip=8), ONE, SERIAL,
        Config(2, 2, 8, target="fpga", serial=True, strip=8)), tests=10),
    "registers": Bench("tetra_registers", (
        TINY, preset("base"), Config(4, 2, 4, 20, radices=(4,), stochastic=False, tensors=256)),
        tests=16),
    "read_dma": Bench("tetra_read_dma", BUSES, tests=8),
    "write_dma": Bench("tetra_write_dma", BUSES, tests=8),
    # its blocks run on gates, each by itself
    "core": Bench("tetra_core", tuple(CORES.values()), tests=4, on_gates=False),
}


def bench_named(block: str) -> Bench:
    """The bench of a block; ValueError that lists the blocks otherwise."""
    try:
        return BENCHES[block]
    except KeyError:
        raise ValueError(
            f"BLOCK = {block!r} is unknown: expected one of {', '.join(BENCHES)}") from None


def run_bench(block: str, config: Config, *, seed: int = 1, length: int = 1) -> None:
    """Run a bench; AssertionError if a test of it fails or is missing."""
    bench = bench_named(block)
    passed = simulate(Settings(block, bench.top, config, seed, length))
    if passed != bench.tests:
        raise AssertionError(f"bench {block} ran {passed} tests, expected {bench.tests}")
