# SPDX-License-Identifier: Apache-2.0
"""Amaranth's simulator under a watchdog: a design that hangs fails its test and is named."""

import contextlib
import os
import signal
import threading

from amaranth.sim import Simulator

PATIENCE = 60.0  # seconds of one step in time: no design of ours needs one


def watched(dut, *benches, cycles: int | None = None, background=()) -> None:
    """Run benches (see `Simulator.add_testbench`) on a design until all have ended, but those in
    the `background`.

    `cycles` : how many the benches may take; None for a design without a clock, whose benches wait
    for nothing. AssertionError that names the test, the design and the cycle if they take more, or
    if time stands still because gates in a loop never come to rest.
    """
    test = os.environ.get("PYTEST_CURRENT_TEST", "no test").partition(" ")[0]
    cycle, running = 0, []

    def loops(*_):
        raise AssertionError(f"{test}: {type(dut).__name__} hangs in cycle {cycle}: its gates do "
                             f"not come to rest in {PATIENCE} s")

    async def count(ctx):
        nonlocal cycle
        while True:
            await ctx.tick()
            cycle += 1

    def noted(bench):
        async def run(ctx):
            running.append(bench(ctx))
            await running[-1]

        return run

    simulator = Simulator(dut)
    for bench in benches:
        simulator.add_testbench(noted(bench))
    for bench in background:
        simulator.add_testbench(noted(bench), background=True)
    if cycles is not None:
        simulator.add_clock(1e-8)
        simulator.add_testbench(count, background=True)
    try:
        with _alarm(loops) as rearm:
            alive = True
            while alive:
                rearm()
                alive = simulator.advance()
                if cycles is not None and cycle > cycles:
                    raise AssertionError(
                        f"{test}: {type(dut).__name__} hangs: its bench has not ended in cycle "
                        f"{cycle}, {cycles} are allowed")
    finally:
        for bench in running:
            with contextlib.suppress(RuntimeError):  # ctx.tick().until() cannot be left in peace
                bench.close()


@contextlib.contextmanager
def _alarm(handler):
    """Calls the handler PATIENCE seconds after the last call of what this gives."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield lambda: None
        return
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
