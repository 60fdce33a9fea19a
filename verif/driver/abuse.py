# SPDX-License-Identifier: Apache-2.0
"""`python -m verif.driver.abuse SEED STEPS`: misuse of the binding, at random, in its own process.

Every step either gives the golden model's results or raises an exception that says what was wrong;
a crash ends this process, and so fails the test that started it.
"""

import copy
import faulthandler
import gc
import pickle
import sys
import threading
from collections import Counter
from dataclasses import replace

import numpy as np

from driver.reproducer import first_difference
from driver.verilated import RtlBackend
from golden.config import preset
from golden.engine import GoldenBackend, Job, Op
from verif.bench.stimuli import random_data_job, random_job

CONFIG = preset("tiny")
CLOSED = "the engine is closed: make a new RtlBackend"


class Pair:
    """An RTL backend and the golden model that follows it."""

    def __init__(self):
        self.rtl, self.golden = RtlBackend(CONFIG, few_jobs=True), GoldenBackend(CONFIG)
        self.open = True

    def run(self, job: Job) -> None:
        if not self.open:
            return expect(RuntimeError, CLOSED, lambda: self.rtl.run(job))
        expected = self.golden.run(job)
        difference = first_difference(expected, self.rtl.run(job))
        assert difference is None, f"{difference}"

    def close(self) -> None:
        self.rtl.close()
        self.open = False


def expect(kind: type[Exception], text: str, action) -> None:
    try:
        action()
    except kind as error:
        assert text in str(error), f"{error!r}"
    else:
        raise AssertionError(f"expected {kind.__name__}: {text}")


def honest(rng, pair: Pair) -> None:
    for _ in range(4):
        pair.run(random_job(rng, CONFIG))


def close(rng, pair: Pair) -> None:
    for _ in range(int(rng.integers(1, 3))):
        pair.close()


def reset(rng, pair: Pair) -> None:
    if pair.open:
        pair.rtl.reset()
        pair.golden.reset()
    else:
        expect(RuntimeError, CLOSED, pair.rtl.reset)


def copies(rng, pair: Pair) -> None:
    for action in (copy.copy, copy.deepcopy, pickle.dumps):
        expect(TypeError, "an RtlBackend cannot be copied or pickled", lambda a=action: a(pair.rtl))


def settings(rng, pair: Pair) -> None:
    for bad in (256, -1, 1.5, "1", None, True):
        expect(ValueError, "stall = ", lambda b=bad: RtlBackend(CONFIG, stall=b))
    expect(ValueError, "config = 'tiny'", lambda: RtlBackend("tiny"))
    expect(AttributeError, "config", lambda: setattr(pair.rtl, "config", preset("base")))


def threads(rng, pair: Pair) -> None:
    """Three run jobs on one backend, sometimes one closes it meanwhile."""
    closing = pair.open and rng.random() < 0.5
    work = [[random_data_job(rng, CONFIG) for _ in range(4)] for _ in range(3)]
    wrong: list = []

    def run(jobs):
        for job in jobs:
            try:
                expected, found = GoldenBackend(CONFIG).run(job), pair.rtl.run(job)
                wrong.extend(filter(None, [first_difference(expected, found)]))
            except RuntimeError as error:
                if str(error) != CLOSED or (pair.open and not closing):
                    wrong.append(error)
            except BaseException as error:
                wrong.append(error)

    started = [threading.Thread(target=run, args=(jobs,)) for jobs in work]
    for thread in started:
        thread.start()
    if closing:
        pair.close()
    for thread in started:
        thread.join()
    assert not wrong, wrong


def ill_made(rng, pair: Pair) -> None:
    """Arrays of a made job that are exchanged or cut, behind its back too."""
    job = random_data_job(rng, CONFIG)
    m, n, _ = job.shape
    for name, array in (("bias", np.zeros(n + 1, np.int32)), ("bias", np.zeros((n, 1), np.int32)),
                        ("mask", np.ones((m, n + 1), bool)), ("x", np.zeros((0, n), np.int32))):
        expect(ValueError, name, lambda a=name, b=array: replace(job, **{a: b}))
    for name, array in (("bias", np.zeros(n - 1, np.int32)), ("bias", np.zeros(n, np.int64)),
                        ("mask", np.ones((m, 0), bool)), ("mask", np.ones((m, n), np.uint16)),
                        ("bias", np.zeros(n, ">i4"))):
        forged = replace(job)
        object.__setattr__(forged, name, array)
        expect(*((ValueError, f"{name} is ") if pair.open else (RuntimeError, CLOSED)),
               lambda j=forged: pair.rtl.run(j))
    if job.op == Op.QUANTISE:
        job.x.resize((m + 1, n), refcheck=False)
        job = replace(job, mask=None)
    pair.run(job)


def guises(rng, pair: Pair) -> None:
    """What numpy can do to an array's memory."""
    job = random_data_job(rng, CONFIG)
    for name in ("a", "b", "x", "bias", "mask"):
        array = getattr(job, name)
        if array is None:
            continue
        if name == "mask":
            array = (array.view(np.uint8) * np.uint8(rng.integers(1, 256))).view(bool)
        kind = rng.integers(5)
        if kind == 0:
            array = np.asfortranarray(array)
        elif kind == 1:
            array = np.flip(np.flip(array).copy())
        elif kind == 2:
            array = np.broadcast_to(array[:1], array.shape)
        elif kind == 3:
            array = np.repeat(array, 3, axis=-1)[..., ::3]
            array.flags.writeable = False
        elif name != "mask":
            array = array.astype(">i8")
        job = replace(job, **{name: array})
    pair.run(job)


def garbage(rng, pair: Pair) -> None:
    """A backend that is dropped in a circle, with its last job's arrays."""
    other = Pair()
    other.me = other
    other.run(random_job(rng, CONFIG))
    del other
    gc.collect()


ACTIONS = (honest, close, reset, copies, settings, threads, ill_made, guises, garbage)
SHARES = (0.24, 0.08, 0.08, 0.08, 0.04, 0.12, 0.12, 0.16, 0.08)


def main(seed: int, steps: int) -> None:
    faulthandler.enable()
    rng = np.random.default_rng(seed)
    pairs, done = [Pair(), Pair()], Counter()
    for step in range(steps):
        at, action = int(rng.integers(2)), ACTIONS[rng.choice(len(ACTIONS), p=SHARES)]
        if not pairs[at].open and rng.random() < 0.5:
            pairs[at] = Pair()
        try:
            action(rng, pairs[at])
        except BaseException:
            print(f"step {step} of seed {seed}: {action.__name__}", file=sys.stderr)
            raise
        done[action.__name__] += 1
    missing = {action.__name__ for action in ACTIONS} - set(done)
    assert not missing, missing
    print(f"{steps} steps, nothing broke")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
