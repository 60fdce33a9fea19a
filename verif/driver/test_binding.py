# SPDX-License-Identifier: Apache-2.0
"""The binding under misuse: threads, copies, failures, no memory; it raises and never crashes."""

import re
import subprocess
import sys
import threading

import numpy as np
import pytest

import driver.verilated
from driver.reproducer import first_difference
from driver.verilated import RtlBackend
from golden.adaptive import Adapt, Entry
from golden.config import preset
from golden.engine import GoldenBackend, Job
from golden.formats import FP4_R4, INT4, INT32
from golden.rescale import RAW, Rescale
from tools.cache import ROOT

TINY = preset("tiny")
NO_MEMORY = """
import resource
import numpy as np
from driver.verilated import RtlBackend
from golden.config import preset
from golden.engine import Job
from golden.formats import INT4
rtl = RtlBackend(preset("base"))
codes = np.broadcast_to(np.ones((1, 1), np.int8), (60_000, 30_000))
job = Job.gemm(codes, INT4, codes[:1], INT4)
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 2**28, held + 2**28))
try:
    rtl.run(job)
except MemoryError as error:
    print(error)
print(rtl.run(Job.gemm([[2]], INT4, [[3]], INT4)).codes[0, 0])
"""


def python(*arguments: str) -> str:
    """The output of a Python process of its own; AssertionError with its errors if it fails."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True,
                          timeout=600)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("seed", range(3))
def test_abuse(seed):
    assert python("-m", "verif.driver.abuse", str(seed), "150") == "150 steps, nothing broke\n"


def test_two_engines_run_in_parallel():
    """A long job of one does not hold up short jobs of the other, and both are right."""
    rng = np.random.default_rng(2)
    x = rng.integers(-(2**31), 2**31, (4095, 8))
    long, short = Job.quantise(x, Rescale(INT32)), Job.quantise(x[:3], Rescale(INT32))
    found = []
    with RtlBackend(TINY, few_jobs=True) as first, RtlBackend(TINY, few_jobs=True) as second:
        thread = threading.Thread(target=lambda: found.append(first.run(long)))
        thread.start()
        meanwhile = 0
        while thread.is_alive():
            assert first_difference(GoldenBackend(TINY).run(short), second.run(short)) is None
            meanwhile += thread.is_alive()
    assert first_difference(GoldenBackend(TINY).run(long), found[0]) is None
    assert meanwhile > 5


def test_a_failed_job_never_loses_the_table_silently(monkeypatch):
    """The RTL is reset after a failure, so that nobody may trust its table until `reset`."""
    entry = Entry(exponent=5, valid=True)
    preset_, look = Job.table(Adapt(2, preset=entry)), Job.table(Adapt(2))
    plain = Job.quantise(np.ones((2, 2), int), RAW)
    with RtlBackend(TINY, few_jobs=True) as rtl:
        rtl.run(preset_)
        with pytest.raises(ValueError, match="tensor 8 is unknown"):
            rtl.run(Job.table(Adapt(8)))
        with pytest.raises(ValueError, match="K = 5000 is out of range"):
            rtl.run(Job.gemm(np.zeros((1, 5000), int), INT4, np.zeros((1, 5000), int), INT4))
        assert rtl.run(look).told.entry == entry  # a job that does not fit changes nothing
        good, refused = driver.verilated.descriptor, 3  # no operation
        monkeypatch.setattr(driver.verilated, "descriptor", lambda job, config: refused)
        for job in (plain, look):
            with pytest.raises(RuntimeError, match=r"refused the descriptor|was lost"):
                rtl.run(job)
        monkeypatch.setattr(driver.verilated, "descriptor", good)
        for job in (look, preset_, Job.quantise(plain.x, RAW, adapt=Adapt(1))):
            with pytest.raises(RuntimeError, match=r"the table of scales was lost .* call reset\("):
                rtl.run(job)
        assert rtl.run(plain).codes.tolist() == [[1, 1], [1, 1]]  # does not need it
        rtl.reset()
        assert rtl.run(look).told.entry == Entry()
        rtl.run(preset_)
        rtl.reset()
        assert rtl.run(look).told.entry == Entry()


def test_an_interrupt_loses_the_table_too(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with RtlBackend(TINY, few_jobs=True) as rtl:
        monkeypatch.setattr(driver.verilated, "unpack_report", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rtl.run(Job.table(Adapt(0)))
        monkeypatch.undo()
        with pytest.raises(RuntimeError, match="the table of scales was lost"):
            rtl.run(Job.table(Adapt(0)))


def test_no_memory_is_an_error():
    first, second = python("-c", NO_MEMORY).splitlines()
    assert first == "no memory to pack the operands of M, N, K = (60000, 1, 30000); split them"
    assert second == "6"


def test_operands_changed_in_place():
    """A job keeps the caller's int8 codes: both refuse what are none by then, and lose nothing."""
    entry = Entry(exponent=5, valid=True)
    for fmt, bad in ((INT4, 8), (FP4_R4, 16), (FP4_R4, -1)):
        a, b = np.ones((2, 3), np.int8), np.ones((2, 3), np.int8)
        job = Job.gemm(a, INT4, b, fmt)
        golden = GoldenBackend(TINY)
        with RtlBackend(TINY, few_jobs=True) as rtl:
            rtl.run(Job.table(Adapt(2, preset=entry)))
            assert first_difference(golden.run(job), rtl.run(job)) is None
            for array, name, code in ((b, "b", bad), (a, "a", 9)):
                array[1, 2] = code
                for backend in (golden, rtl):
                    text = f"code {code} of '{name}' at index (1, 2) is not a"
                    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
                        backend.run(job)
                array[1, 2] = 1
            assert first_difference(golden.run(job), rtl.run(job)) is None
            assert rtl.run(Job.table(Adapt(2))).told.entry == entry


def test_bytes_of_a_mask_changed_in_place():
    """Any byte but 0 is True, on both."""
    ones = np.ones((2, 3), np.int8)
    for job in (Job.gemm(ones, INT4, ones, INT4, mask=np.ones((2, 2), bool)),
                Job.quantise(ones, RAW, mask=np.ones((2, 3), bool))):
        job.mask.view(np.uint8)[...] = [[2], [0]]
        expected = GoldenBackend(TINY).run(job)
        assert expected.codes[0].all() and not expected.codes[1].any()
        with RtlBackend(TINY, few_jobs=True) as rtl:
            assert first_difference(expected, rtl.run(job)) is None


def test_members_refuse_at_once():
    entry = Entry(exponent=5, valid=True)
    with RtlBackend(TINY, few_jobs=True) as rtl:
        rtl.run(Job.table(Adapt(2, preset=entry)))
        for name, values in (("stall", (300, -1, "x", None, 1.5, True)),
                             ("seed", (-5, 2**32, "1", None, 1.5))):
            before = getattr(rtl, name)
            for value in values:
                with pytest.raises(ValueError, match=f"^{name} = {value!r} is out of range: "):
                    setattr(rtl, name, value)
            assert getattr(rtl, name) == before
        for name in ("config", "jobs", "cycles", "seconds"):
            with pytest.raises(AttributeError, match=name):
                setattr(rtl, name, 0)
        for job in (None, "x", Adapt(0)):
            with pytest.raises(ValueError, match=f"^job = {re.escape(repr(job))}: expected a Job"):
                rtl.run(job)
        rtl.stall, rtl.seed = np.int64(30), np.uint8(7)
        assert (type(rtl.stall), rtl.seed, rtl.jobs) == (int, 7, 1)
        assert rtl.run(Job.table(Adapt(2))).told.entry == entry


def test_a_report_that_is_none_is_the_engines_fault(monkeypatch):
    monkeypatch.setattr(driver.verilated, "unpack_report", lambda bits: Entry(exponent=99))
    with (RtlBackend(TINY, few_jobs=True) as rtl,
          pytest.raises(RuntimeError, match="the engine's report is none: exponent = 99 is out")):
        rtl.run(Job.table(Adapt(0)))


@pytest.mark.parametrize("trace, text", [
    ((1, 0, 1), "file of the trace = 1: expected a path"),
    ((None, 0, 1), "file of the trace = None: expected a path"),
    ("x.fst", "trace = 'x.fst': expected None or (file, first job, number of jobs)"),
    (("x.fst",), "trace = ('x.fst',): expected None or (file, first job, number of jobs)"),
    (5, "trace = 5: expected None or (file, first job, number of jobs)"),
])
def test_traces_that_are_none(trace, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        RtlBackend(TINY, few_jobs=True, trace=trace)


def test_traces_that_cannot_be_written(tmp_path):
    for window, text in (((-1, 1), "first job of the trace = -1 is out of range"),
                         ((0, 1.5), "jobs in the trace = 1.5 is out of range")):
        with pytest.raises(ValueError, match=text):
            RtlBackend(TINY, few_jobs=True, trace=(tmp_path / "x.fst", *window))
    with pytest.raises(OSError, match="No such file or directory"):
        RtlBackend(TINY, few_jobs=True, trace=(tmp_path / "missing" / "x.fst", 0, 1))
