# SPDX-License-Identifier: Apache-2.0
"""What lies beside the Verilog works in a folder of its own: examples, FuseSoC, C and Python."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from amaranth.hdl import Shape

from driver.descriptor import descriptor
from golden.config import Config, preset
from golden.engine import Op
from golden.formats import INT4
from hdl.emit.export import export
from hdl.emit.package import fields, layouts
from tools.verilator import compiler, make_flags, verilator_bin
from verif.bench.stimuli import random_job
from verif.needs import needs_icarus

TINY = preset("tiny")
# sizes at their ends, in which the texts of no preset occur
ODD = Config(16, 1, 1, accumulator_width=20, dim_width=4, radices=(2,), stochastic=False,
             tensors=1, pipeline=1, target="fpga")
WIDE = Config(2, 16, 16, dim_width=4, radices=(4,), tensors=200, serial=True)


@pytest.fixture
def bare(tmp_path, exported):
    """Makes a folder of the test's own that holds nothing but what `make verilog` writes."""
    return lambda config, style="fields", prefix="": shutil.copytree(
        exported(config, style, prefix), tmp_path / "bare")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    made = {}

    def get(config: Config, style: str, prefix: str):
        if (config, style, prefix) not in made:
            folder = made[config, style, prefix] = tmp_path_factory.mktemp("made")
            export(config, "test", folder, style, prefix)
        return made[config, style, prefix]

    return get


def make(folder, *targets: str) -> subprocess.CompletedProcess:
    """`make -C examples`, where no module of this repository can be imported."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(["make", "-C", str(folder / "examples"), f"PYTHON={sys.executable}",
                           *targets], env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


@needs_icarus
@pytest.mark.parametrize(("config", "style", "prefix"), [
    (TINY, "fields", ""), (ODD, "fields", "mine_"), (WIDE, "packed", "q_")],
    ids=["tiny", "odd", "wide"])
def test_examples(bare, config, style, prefix):
    """Both benches pass, and Icarus has nothing to warn of under -Wall."""
    done = make(bare(config, style, prefix))
    assert not done.returncode, done.stdout
    assert "PASS: " in done.stdout and "TESTS=2 PASS=2 FAIL=0" in done.stdout
    assert not re.search(r"(?i)gemm_tb.v.*warning|engine.v.*warning", done.stdout), done.stdout


@needs_icarus
@pytest.mark.parametrize(("target", "file", "good", "wrong", "said"), [
    ("verilog", "gemm_tb.v", "K + step]) *", "K + step]) -", "FAIL: result of row 0, column 0 is"),
    ("cocotb", "test_gemm.py", "a[r][k] *", "a[r][k] -", "FAIL=1"),
    ("cocotb", "test_gemm.py", "Fraction(7, ", "Fraction(8, ", "FAIL=1")])
def test_a_wrong_result_fails(bare, target, file, good, wrong, said):
    folder = bare(TINY)
    path = folder / "examples" / file
    text = path.read_text()
    assert text.count(good) == 1
    path.write_text(text.replace(good, wrong))
    done = make(folder, target)
    assert done.returncode and said in done.stdout


def test_the_cocotb_example_on_verilator(bare):
    """With -Wall and the waivers that come with the files."""
    done = make(bare(TINY), "cocotb", "SIM=verilator")
    assert not done.returncode, done.stdout
    assert "TESTS=2 PASS=2 FAIL=0" in done.stdout and "%Warning" not in done.stdout


def test_fusesoc_lints(bare, tmp_path):
    folder = bare(TINY)
    assert not (done := fusesoc(tmp_path, folder, "lint", "tetra_engine")).returncode, done.stdout
    assert "%Warning" not in done.stdout
    path = folder / "tetra_engine.v"
    path.write_text(path.read_text().replace("output wire [31:0] result_data",
                                             "output wire [30:0] result_data", 1))
    done = fusesoc(tmp_path, folder, "lint", "tetra_engine")
    assert done.returncode and "%Warning-WIDTHTRUNC" in done.stdout


def test_a_core_that_depends_on_one_has_its_waivers(bare, tmp_path):
    """FuseSoC takes the default target of a dependency."""
    folder = bare(TINY)
    (folder / "mine.v").write_text("""
module mine (input wire [3:0] a, input wire [3:0] b, output wire signed [16:0] y);
  tetra_multiplier one (.a(a), .a_signed(1'b1), .b(b), .b_format(2'd0), .product(y));
endmodule
""")
    (folder / "mine.core").write_text("""CAPI=2:
name: "tetra::mine:0"
filesets:
  rtl:
    files: [mine.v: {file_type: verilogSource}]
    depend: ["tetra::tetra_multiplier"]
targets:
  lint:
    filesets: [rtl]
    toplevel: mine
    default_tool: verilator
    tools: {verilator: {mode: lint-only, verilator_options: [-Wall]}}
""")
    done = fusesoc(tmp_path, folder, "lint", "mine")
    assert not done.returncode and "%Warning" not in done.stdout, done.stdout


def test_fusesoc_builds_a_model(bare, tmp_path):
    done = fusesoc(tmp_path, bare(TINY), "model", "tetra_dot_product")
    assert not done.returncode, done.stdout
    assert list((tmp_path / "build").rglob("libVtetra_dot_product*.a"))


def fusesoc(tmp_path, cores, target: str, top: str) -> subprocess.CompletedProcess:
    """FuseSoC as its users start it, with nothing of theirs."""
    environment = dict(os.environ, PATH=f"{verilator_bin()}{os.pathsep}{os.environ['PATH']}",
                       MAKEFLAGS=f" -- {make_flags()} OPT_FAST=-O0")
    environment |= {f"XDG_{name}_HOME": str(tmp_path) for name in ("CONFIG", "DATA", "CACHE")}
    environment.pop("VERILATOR_ROOT", None)
    return subprocess.run(
        [sys.executable, "-m", "fusesoc.main", "--cores-root", str(cores), "run",
         f"--target={target}", "--setup", "--build", f"tetra::{top}"], cwd=tmp_path,
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def random_payloads(config: Config) -> dict[str, int]:
    rng = np.random.default_rng(4)
    return {name: int.from_bytes(rng.bytes(80)) & (1 << layout.size) - 1
            for name, layout in layouts(config).items()}


@pytest.mark.parametrize(("options", "prefix"), [
    (["-std=c99", "-x", "c"], ""), (["-std=c++11", "-x", "c++"], "mine_")])
def test_c_header(bare, tmp_path, options, prefix):
    """C reads every field of a payload, and puts the payload together again from them."""
    folder = bare(TINY, prefix=prefix)
    macro, program, expected = f"{prefix}tetra_".upper(), [], []
    for name, payload in random_payloads(TINY).items():
        layout = layouts(TINY)[name]
        size = -(-layout.size // 8)
        octets = ", ".join(map(str, payload.to_bytes(size, "little")))
        program.append(f"{{ const uint8_t from[] = {{{octets}}}; uint8_t to[{size}] = {{0}};")
        for path, offset, shape, _ in fields(name, layout):
            field, width = f"{macro}{path}".upper(), Shape.cast(shape).width
            for start in range(0, width, 64):  # what one call takes
                part = (f"{field}_LSB + {start}", f"({field}_WIDTH - {start} < 64 ? "
                        f"{field}_WIDTH - {start} : 64)")
                program.append(f"show({prefix}tetra_get(from, {part[0]}, {part[1]}));"
                               f"{prefix}tetra_put(to, {part[0]}, {part[1]}, "
                               f"(int64_t){prefix}tetra_get(from, {part[0]}, {part[1]}));")
                expected.append(payload >> offset + start & (1 << min(64, width - start)) - 1)
        program.append("show(memcmp(from, to, sizeof to) != 0); }")
        expected.append(0)
    (tmp_path / "test.c").write_text("\n".join([
        "#include <inttypes.h>", "#include <stdio.h>", "#include <string.h>",
        f'#include "{prefix}tetra_layouts.h"',
        'static void show(uint64_t value) { printf("%" PRIu64 "\\n", value); }',
        "int main(void) {", *program, f"return {macro}ROWS != {TINY.rows}; }}", ""]))
    subprocess.run([compiler(), *options, "-Wall", "-Wextra", "-Werror", f"-I{folder}", "-o",
                    str(tmp_path / "test"), str(tmp_path / "test.c")], check=True)
    done = subprocess.run([str(tmp_path / "test")], check=True, capture_output=True, text=True)
    assert list(map(int, done.stdout.split())) == expected


def test_python_module(bare):
    """Its descriptors are those of the driver; what is unpacked packs to the same bits."""
    path = bare(TINY, prefix="mine_") / "mine_tetra_layouts.py"
    spec = importlib.util.spec_from_file_location("mine_tetra_layouts", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (module.ROWS, module.OP_TABLE) == (TINY.rows, Op.TABLE)
    for name, payload in random_payloads(TINY).items():
        found = module.unpack(name, payload)
        assert module.pack(name, **found) == payload
        for path, offset, shape, _ in fields(name, layouts(TINY)[name]):
            assert module.LAYOUTS[name][path.removeprefix(f"{name}_")][:2] == (
                offset, Shape.cast(shape).width)
    rng = np.random.default_rng(1)
    for _ in range(50):
        job = random_job(rng, TINY)
        found = module.unpack("job", descriptor(job, TINY))
        m, n, k = job.shape
        assert (found["op"], found["m"], found["n"], found["k"]) == (job.op, m, n, k)
        # a preset's scale and zero point take the place of params'
        fmt = INT4 if job.adapt and job.adapt.preset else job.then.fmt
        assert found["params_format"] == fmt.encoding
        assert found["adapt_enable"] == (job.adapt is not None)
        assert not job.adapt or found["adapt_exponent"] == (
            job.adapt.preset or job.adapt).exponent
    with pytest.raises(ValueError, match=r"job.m = 4096 is out of range: expected 0..4095"):
        module.pack("job", m=4096)
    with pytest.raises(KeyError, match="depth"):
        module.pack("job", depth=1)
