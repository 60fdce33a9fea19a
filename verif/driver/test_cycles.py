# SPDX-License-Identifier: Apache-2.0
"""The closed form of the engine's cycles against the verilated engine: jobs alone to the cycle,
jobs that overlap in the mean."""

import ctypes

import numpy as np
import pytest

from driver import cycles
from driver.cycles import Blocks, Size, alone, back_to_back
from driver.descriptor import descriptor
from driver.verilated import DESCRIPTOR_BYTES, RtlBackend, build
from golden.config import Config, preset
from golden.dyadic import Dyadic
from golden.engine import Job
from golden.formats import FP4_R2, FP4_R4, INT4, UINT4
from golden.rescale import Rescale
from hdl.rescaler.rescale import RescaleUnit
from hdl.tile.mac_tile import MacTile

CONFIGS = {"tiny": preset("tiny"), "8x4x4": Config(8, 4, 4)}
SEED = 11


def random_size(rng: np.random.Generator, top: int) -> Size:
    m, n, k = (int(np.exp(rng.uniform(0, np.log(most)))) for most in (top, top, 300))
    return Size(m, n, k if rng.random() < 0.6 else 0)


def job_of(size: Size, rng: np.random.Generator) -> Job:
    if not size.k:
        seed = int(rng.integers(2**32)) if rng.random() < 0.5 else None
        return Job.quantise(rng.integers(-99, 99, size[:2]),
                            Rescale(FP4_R2, Dyadic.nearest(0.1), seed=seed))
    b_fmt = (INT4, FP4_R4)[int(rng.integers(2))]
    return Job.gemm(rng.integers(0, 16, (size.m, size.k)), UINT4,
                    rng.integers(0, 8, (size.n, size.k)), b_fmt)


def counted(config: Config, count: int) -> list[tuple[Size, int]]:
    """Random jobs, each alone on the engine, and their cycles."""
    rng, found = np.random.default_rng(SEED), []
    with RtlBackend(config, few_jobs=True) as rtl:
        for _ in range(count):
            size, before = random_size(rng, 40), rtl.cycles.total()
            rtl.run(job_of(size, rng))
            found.append((size, rtl.cycles.total() - before))
    return found


@pytest.fixture(scope="module", params=CONFIGS)
def jobs_alone(request):
    config = CONFIGS[request.param]
    return config, counted(config, 60)


def test_a_job_alone_takes_exactly_so_many_cycles(jobs_alone):
    config, found = jobs_alone
    assert {bool(size.k) for size, _ in found} == {True, False}
    assert [(size, alone(config, size)) for size, _ in found] == found


@pytest.mark.parametrize("where, name, change", [
    (cycles, "row_cycles", 1), (MacTile, "latency", 1), (RescaleUnit, "latency", -1)])
def test_a_changed_coefficient_is_noticed(jobs_alone, monkeypatch, where, name, change):
    config, found = jobs_alone
    before = getattr(where, name)
    monkeypatch.setattr(where, name, staticmethod(lambda config: before(config) + change))
    assert [(size, alone(config, size)) for size, _ in found] != found


@pytest.mark.parametrize("name", CONFIGS)
def test_jobs_overlap(name):
    """Within 2 % over sequences of two to eight jobs. What the closed form leaves out: blocks of
    one or two rows need not wait for the drainer, the tile's last registers hold them."""
    config, rng = CONFIGS[name], np.random.default_rng(SEED)
    library = ctypes.CDLL(str(build(config, few_jobs=True)))
    library.back_to_back.restype = ctypes.c_uint64
    library.back_to_back.argtypes = [ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64]
    estimated, engine, apart = 0, 0, 0
    for _ in range(30):
        sizes = [random_size(rng, 25) for _ in range(rng.integers(2, 9))]
        bits = b"".join(descriptor(job_of(size, rng), config).to_bytes(DESCRIPTOR_BYTES, "little")
                        for size in sizes)
        estimated += back_to_back(config, sizes)
        apart += sum(alone(config, size) for size in sizes)
        engine += library.back_to_back(bits, len(sizes), 10 * apart)  # patience
    assert abs(estimated - engine) < 0.02 * engine and apart > engine


def test_blocks():
    """19 x 9 x 33 on 8 x 4 x 4: two rows of blocks of 8 and one of 3, three blocks across."""
    blocks = Blocks.of(Config(8, 4, 4), Size(19, 9, 33))
    assert blocks == Blocks(across=3, down=3, beats=9, full=8, tail=3)
    assert blocks.all_beats == 81 and blocks.all_rows == 3 * 19
    assert blocks.stretches == ((6, 8), (2, 3))
