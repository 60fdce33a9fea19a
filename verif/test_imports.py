# SPDX-License-Identifier: Apache-2.0
"""Imports run one way: golden, tools, hdl, driver, train, synth, verif; nobody imports verif."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tools.cache import ROOT

PACKAGES = ("golden", "tools", "hdl", "driver", "train", "synth", "verif")
FILES = {path: path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
         for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imported(path: Path) -> set[str]:
    """The modules of this repository that a file imports anywhere in it, as dotted names.

    `from package import name` counts as the module `package.name` where there is such a file.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide which folder they cross"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in FILES.values() else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            assert isinstance(node.args[0], ast.Constant), f"{path}: an import that cannot be read"
            found.add(node.args[0].value)
    return {name for name in found if name.split(".")[0] in PACKAGES}


def check_order(imports: dict[str, set[str]]) -> None:
    """AssertionError at the first import from a folder that stands below the importer's."""
    for module, names in imports.items():
        for name in sorted(names):
            there, here = (PACKAGES.index(each.split(".")[0]) for each in (name, module))
            assert there <= here, f"{module} imports {name}: {PACKAGES[there]} stands below"


def folders(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same between folders: `hdl.tile.mac_cell` lies in `hdl.tile`, `hdl.layouts` is alone."""
    found: dict[str, set[str]] = {}
    for module, names in imports.items():
        found.setdefault(_folder(module), set()).update(map(_folder, names))
    return {here: names - {here} for here, names in found.items()}


def _folder(module: str) -> str:
    return ".".join(module.split(".")[:2])


def check_no_circle(imports: dict[str, set[str]]) -> None:
    """AssertionError that names the circle, if there is one."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        raise AssertionError("imports run in a circle: " + " <- ".join(error.args[1])) from error


def test_imports_run_one_way():
    imports = {name: imported(path) for path, name in FILES.items()}
    assert len(imports) > 100 and sum(map(len, imports.values())) > 300
    check_order(imports)
    check_no_circle(imports)
    within = {name: names for name, names in imports.items() if not name.startswith("verif")}
    check_no_circle(folders(within))


@pytest.mark.parametrize(("imports", "text"), [
    ({"golden.gemm": {"hdl.layouts"}}, "golden.gemm imports hdl.layouts: hdl stands below"),
    ({"synth.area": {"verif.gates"}}, "synth.area imports verif.gates: verif stands below"),
])
def test_a_wrong_way_is_noticed(imports, text):
    with pytest.raises(AssertionError, match=text):
        check_order(imports)


def test_a_circle_is_noticed():
    with pytest.raises(AssertionError, match=r"in a circle: hdl\.[ab] <- "):
        check_no_circle({"hdl.a": {"hdl.b"}, "hdl.b": {"hdl.a"}})


def test_imports_are_found_wherever_they_stand(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("import numpy\nfrom golden import gemm, dyadic\ndef late():\n"
                    "    from hdl.tile.mac_cell import MacCell\n    import tools.cache\n"
                    "    import_module('synth.area')\n")
    assert imported(path) == {
        "golden.gemm", "golden.dyadic", "hdl.tile.mac_cell", "tools.cache", "synth.area"}
