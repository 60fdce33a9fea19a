# SPDX-License-Identifier: Apache-2.0
"""What `manifest.json`, the file lists, the constraints and the headers say is so."""

import importlib.util
import json
import os
import re
import subprocess

import pytest

from golden.adaptive import Use
from golden.config import Config, preset
from golden.engine import Op
from golden.formats import A_FORMATS, B_FORMATS, FORMATS, max_product
from golden.solver import SolveMode
from hdl.emit.export import MANIFEST, export
from hdl.emit.verilog import CORE, tops
from synth.cells.libraries import NANGATE45
from tools.cache import ROOT
from tools.verilator import verilator_bin
from verif.needs import needs_sta

ODD = Config(2, 8, 4, accumulator_width=24, dim_width=7, radices=(2,), tensors=5, pipeline=1)
CASES = {"tiny": (preset("tiny"), "packed", ""), "odd": (ODD, "fields", "mine_")}


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
    """(configuration, prefix, folder, manifest)."""
    config, style, prefix = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    export(config, request.param, folder, style, prefix)
    return config, prefix, folder, json.loads((folder / MANIFEST).read_text())


def leaves(described: dict, offset: int = 0, path: str = ""):
    """(path, lowest bit, width, signed) of what a payload holds, arrays as one."""
    for field in described.get("fields", ()):
        name, at = f"{path}_{field['name']}".strip("_"), offset + field["offset"]
        if "fields" in field:
            yield from leaves(field, at, name)
        else:
            yield name, (at, field["width"], field["signed"])


def test_fields_lie_where_the_python_module_packs_them(exported):
    """Which `test_examples.py` compares with the driver's descriptors."""
    _, prefix, folder, manifest = exported
    spec = importlib.util.spec_from_file_location("layouts", folder / f"{prefix}tetra_layouts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    payloads = manifest["tops"][f"{prefix}tetra_engine"]["payloads"]
    for name, fields in module.LAYOUTS.items():
        assert dict(leaves(payloads[name])) == fields
    assert {f"{name.upper()}_BITS": payloads[name]["width"] for name in payloads} == {
        f"{name.upper()}_BITS": getattr(module, f"{name.upper()}_BITS") for name in payloads}


def test_arrays_are_of_the_cores_size(exported):
    config, prefix, _, manifest = exported
    payloads = manifest["tops"][f"{prefix}tetra_engine"]["payloads"]
    a, x = payloads["a"], payloads["x"]
    assert (a["array"], a["element"]["array"]) == (config.rows, config.lanes)
    assert (x["array"], x["element"]["width"], x["element"]["signed"]) == (config.cols, 32, True)
    assert payloads["b"]["width"] == 4 * config.cols * config.lanes


def test_numbers(exported):
    config, prefix, _, manifest = exported
    assert manifest["macs_per_cycle"] == config.rows * config.cols * config.lanes
    for a in A_FORMATS:
        for b in B_FORMATS:
            bound = (2 ** (config.accumulator_width - 1) - 1) // max_product(a, b)
            assert manifest["max_k"][f"{a.name} x {b.name}"] == min(bound, config.max_dim)
    encodings = manifest["encodings"]
    assert encodings["format"] == {name: fmt.encoding for name, fmt in FORMATS.items()}
    assert encodings["op"] == {"GEMM": 0, "QUANTISE": 1, "TABLE": 2} == {
        op.name: op.value for op in Op}
    assert encodings["use"] == {use.name: use.value for use in Use}
    assert encodings["mode"] == {mode.name: mode.value for mode in SolveMode}
    assert encodings["b_format"] == {"INT4": 0, "FP4_R4": 1, "FP4_R2": 2}
    for top, block in tops(config).items():
        latency = getattr(block, "latency", None)
        found = latency(config) if callable(latency) else latency
        assert manifest["tops"][prefix + top]["latency"] == found


def test_buses(exported):
    """Protocols and AMBA's names; every port of the core belongs to one, but clock and reset."""
    config, prefix, _, manifest = exported
    for top, described in manifest["tops"].items():
        assert bool(described["buses"]) == (top == prefix + CORE)
    if CORE not in tops(config):
        assert manifest["no_core"] == "lanes = 4: a core takes at least 4, and at least rows and " \
            "cols, 2 and 8"
        return
    assert manifest["no_core"] is None
    core = manifest["tops"][prefix + CORE]
    found = {bus["name"]: bus for bus in core["buses"]}
    assert [(bus["protocol"], bus["role"]) for bus in found.values()] == [
        ("AXI4-Lite", "subordinate"), ("AXI4", "manager"), ("interrupt", "source")]
    assert (found["s_axil"]["address_width"], found["s_axil"]["data_width"]) == (12, 32)
    assert (found["m_axi"]["address_width"], found["m_axi"]["data_width"]) == (
        config.address_width, config.bus_width)
    ports = [port for bus in found.values() for port in bus["ports"].values()]
    assert sorted([*ports, "clk", "rst"]) == sorted(port["name"] for port in core["ports"])
    assert found["m_axi"]["ports"]["ARLEN"] == "m_axi_arlen"


def test_who_reads_what(exported):
    _, prefix, _, manifest = exported
    job = manifest["tops"][f"{prefix}tetra_engine"]["payloads"]["job"]
    read_by = {}

    def collect(described, path=""):
        for field in described["fields"]:
            name = f"{path}{field['name']}"
            read_by[name] = field.get("read_by", "")
            if "fields" in field:
                collect(field, f"{name}.")

    collect(job)
    assert {name: reader for name, reader in read_by.items() if reader} == {
        "m": "GEMM, QUANTISE", "n": "GEMM, QUANTISE", "k": "GEMM", "a_signed": "GEMM",
        "b_format": "GEMM", "bias": "GEMM, QUANTISE", "mask": "GEMM, QUANTISE",
        "strips": "GEMM, QUANTISE",
        "params.zero_point": "formats INT4, INT4_SYM and UINT4", "params.seed": "stochastic = 1",
        "adapt.mode": "solve = 1", "adapt.alpha": "mode PACT",
        "adapt.exponent": "mode PACT; preset = 1", "adapt.preset": "TABLE",
        "adapt.valid": "preset = 1", "adapt.frozen": "preset = 1", "adapt.discard": "QUANTISE"}


def test_headers_of_files(exported):
    config, _, folder, manifest = exported
    for top in manifest["tops"].values():
        head = (folder / top["file"]).read_text().split("\n\n")[0]
        text = " ".join(line.removeprefix("//").strip() for line in head.splitlines())
        assert f"Tetra {manifest['tetra']}" in text and f"Preset {manifest['preset']}: " in text
        for name, value in config.as_dict().items():
            assert f"{name}={value!r}" in text
        assert f"Ports: {manifest['ports_style']}." in text
    assert sorted(manifest["files"]) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_file_lists(exported):
    """Verilator reads one from anywhere."""
    config, prefix, folder, _ = exported
    for top in tops(config):
        listed = (folder / f"{prefix}{top}.f").read_text().split()
        assert listed == [f"{prefix}{top}.v"]
    listed = str(folder / f"{prefix}tetra_multiplier.f")
    subprocess.run([str(verilator_bin() / "verilator"), "--lint-only", "-Wall",
                    str(folder / "verilator.vlt"), "-F", listed], check=True, cwd=ROOT)


@needs_sta
def test_constraints(exported, tmp_path):
    """OpenSTA takes them, and no input or output is left without a delay."""
    config, prefix, folder, manifest = exported
    period = {"asic": 1, "fpga": 25}[config.target]
    for top in ("tetra_engine", "tetra_mac_tile", *({CORE} & set(tops(config)))):
        name = prefix + top
        listed = manifest["tops"][name]["ports"]
        (tmp_path / "box.v").write_text("\n".join([
            f"module {name} ({', '.join(port['name'] for port in listed)});",
            *(f"  {port['direction']} [{port['width'] - 1}:0] {port['name']};" if port["width"] > 1
              else f"  {port['direction']} {port['name']};" for port in listed), "endmodule"]))
        (tmp_path / "run.tcl").write_text("\n".join([
            f"read_liberty {NANGATE45.path}", "read_verilog box.v", f"link_design {name}",
            f"read_sdc {folder / f'{name}.sdc'}",
            "check_setup -verbose -no_input_delay -no_output_delay -no_clock",
            "report_clock_properties", "write_sdc out.sdc", "exit"]))
        done = subprocess.run(["sta", "-no_splash", "run.tcl"], cwd=tmp_path, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert not re.search(r"(?i)error|missing|unconstrained|no clock", done.stdout), done.stdout
        written = (tmp_path / "out.sdc").read_text()
        assert f"-period {period}.0000" in written
        bits = {way: sum(port["width"] for port in listed if port["direction"] == way)
                for way in ("input", "output")}
        assert written.count("set_input_delay ") == bits["input"] - 1  # but the clock
        assert written.count("set_output_delay ") == bits["output"]


def test_another_export_takes_the_place_of_one(tmp_path):
    tiny = preset("tiny")
    export(tiny, "tiny", tmp_path, "packed", "old_")
    (tmp_path / "mine.v").write_text("// a file of the user's")
    export(tiny, "tiny", tmp_path, "fields", "new_")
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["ports_style"] == "fields"
    assert not list(tmp_path.glob("old_*")) and (tmp_path / "mine.v").exists()


def test_an_export_that_fails_leaves_no_manifest(tmp_path, monkeypatch):
    tiny = preset("tiny")
    export(tiny, "tiny", tmp_path, "packed")
    written = []

    def failing(path, content):
        written.append(path)
        if len(written) == 9:
            raise OSError(28, os.strerror(28), str(path))
        path.write_bytes(content)

    monkeypatch.setattr("hdl.emit.export.write_atomically", failing)
    with pytest.raises(OSError):
        export(tiny, "tiny", tmp_path, "fields")
    assert not (tmp_path / MANIFEST).exists()
