# SPDX-License-Identifier: Apache-2.0
"""Imports run one way: golden, tools, hdl, driver, train, synth, verif; nobody imports verif."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

from tools.cache import ROOT

PACKAGES = ("golden", "tools", "hdl", "driver", "train", "synth", "verif")
FILES = {path: path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
         for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imported(path: Path) -> set[str]:
    """The modules of this repository that a file imports or starts anywhere in it, dotted names.

    `from package import name` counts as the module `package.name` where there is such a file. What
    a program starts counts too: "-m", "verif.x" side by side, or in one command line. Only verif
    may import a module whose name is computed.
    """
    found, here = set(), FILES.get(path, "")
    for node in ast.walk(tree := ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide which folder they cross"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in FILES.values() else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Call) and _called(node) in IMPORTERS:
            known = bool(node.args) and isinstance(node.args[0], ast.Constant)
            assert known or here.startswith("verif."), f"{path}: an import that cannot be read"
            if known:
                found.add(str(node.args[0].value))
    found |= started(tree) - {here}
    return {name for name in found if name.split(".")[0] in PACKAGES}


IMPORTERS = ("import_module", "__import__")


def _called(node: ast.Call) -> str:
    """The last name of what is called, `import_module` of `importlib.import_module` too."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def started(tree: ast.AST) -> set[str]:
    """The modules that follow a literal "-m", in a sequence or in a command line of one string."""
    found, docs = set(), {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        parts = node.args if isinstance(node, ast.Call) else getattr(node, "elts", [])
        values = [getattr(part, "value", None) for part in parts]  # of literals
        found |= {name for flag, name in pairwise(values) if flag == "-m" and isinstance(name, str)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            found |= set(re.findall(r"(?:^|\s)-m\s+([\w.]+)", node.value))
    return found


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


@pytest.mark.parametrize("text, name", [
    ("importlib.import_module('verif.x')", "verif.x"),
    ("il.import_module('verif.x', None)", "verif.x"),
    ("__import__('verif.regress')", "verif.regress"),
    ("builtins.__import__('verif.regress')", "verif.regress"),
    ("subprocess.run([sys.executable, '-m', 'verif.regress', '--seeds', '1'])", "verif.regress"),
    ("os.execl(python, python, '-m', 'verif.regress')", "verif.regress"),
    ("COMMAND = ('-m', 'verif.regress')", "verif.regress"),
    ("os.system('python -m verif.regress --seeds 1')", "verif.regress"),
    ("os.system(f'{python} -m verif.regress')", "verif.regress"),
])
def test_disguised_imports_are_found(text, name, tmp_path):
    path = tmp_path / "module.py"
    path.write_text(f"def late():\n    {text}\n")
    assert imported(path) == {name}
    with pytest.raises(AssertionError, match=f"driver.x imports {name}: verif stands below"):
        check_order({"driver.x": imported(path)})


def test_what_is_no_import(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("'''`python -m verif.regress` checks this.'''\n"
                    "['-m', name, 'verif.x', '-O', 'verif.y']\nprint('see verif.regress')\n")
    assert imported(path) == set()
    for text in ("importlib.import_module(name)", "__import__(f'verif.{name}')", "__import__()"):
        path.write_text(text + "\n")
        with pytest.raises(AssertionError, match="an import that cannot be read"):
            imported(path)
