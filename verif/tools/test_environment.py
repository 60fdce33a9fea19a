# SPDX-License-Identifier: Apache-2.0
"""Environments that others have set up: all works, or one line says what to do."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import venv

import pytest

import bootstrap
from tools import cache, verilator
from tools.cache import ROOT, cached
from tools.errors import ToolError


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    """The bootstrap in an empty clone, where it would have to install; the commands that it runs,
    each with its environment."""
    commands = []

    def record(command, **options):
        commands.append((command, options.get("env")))
        (bootstrap.VENV / "bin").mkdir(parents=True, exist_ok=True)
        (bootstrap.VENV / "bin" / "python").touch()

    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==1\n")
    torch_lock = tmp_path / "requirements-torch.lock"
    torch_lock.write_text("torch==1+cpu\n")
    for name, value in {"ROOT": tmp_path, "VENV": tmp_path / ".venv", "LOCK": lock,
                        "TORCH_LOCK": torch_lock,
                        "SEAL": tmp_path / ".venv" / "complete"}.items():
        monkeypatch.setattr(bootstrap, name, value)
    monkeypatch.setattr(bootstrap.subprocess, "run", record)
    monkeypatch.setattr(bootstrap, "not_installed", lambda folder: "")
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])
    return commands


def test_an_environment_that_pip_left_empty_is_not_sealed(nothing_installed, monkeypatch, capsys):
    """pip's configuration file can send packages elsewhere."""
    monkeypatch.setattr(bootstrap, "not_installed", lambda folder: "numpy")
    assert bootstrap.main() == 2
    assert "pip installed numpy elsewhere or not at all: remove" in capsys.readouterr().err
    assert not bootstrap.SEAL.exists()


def test_what_is_not_installed(tmp_path):
    venv.create(tmp_path / "empty", with_pip=False)
    first = next(line for line in bootstrap.LOCK.read_text().splitlines() if "==" in line)
    assert bootstrap.not_installed(tmp_path / "empty") == first.split("==")[0]
    assert not bootstrap.not_installed(bootstrap.VENV)


def no_locks(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_pip_installs_into_the_environment_and_nowhere_else(nothing_installed, monkeypatch):
    foreign = {"PIP_USER": "1", "PYTHONPATH": "/elsewhere", "PIP_TARGET": "/elsewhere"}
    for name, value in {**foreign, "PIP_INDEX_URL": "https://mirror"}.items():
        monkeypatch.setenv(name, value)
    assert bootstrap.main() == 0
    pip = ["-m", "pip"]
    assert [command[1:3] for command, _ in nothing_installed] == [["-m", "venv"], pip, pip]
    for _, environment in nothing_installed:
        assert environment["PIP_USER"] == "0" and environment["PIP_INDEX_URL"] == "https://mirror"
        assert "/elsewhere" not in environment.values()
    assert bootstrap.main() == 0 and len(nothing_installed) == 3  # complete


def test_without_pytorch_all_else_is_there(nothing_installed, monkeypatch, capsys):
    """Where no index has the build for CPUs: one line, with the ways to get it."""
    run = bootstrap.subprocess.run

    def without_torch(command, **options):
        if str(bootstrap.TORCH_LOCK) in command:
            raise subprocess.CalledProcessError(1, command)
        return run(command, **options)

    monkeypatch.setattr(bootstrap.subprocess, "run", without_torch)
    assert bootstrap.main() == 0 and bootstrap.SEAL.exists()
    told = capsys.readouterr().out
    assert "pip finds no torch==1+cpu" in told and ".venv/bin/pip install torch==1\n" in told


@pytest.mark.parametrize("program", ["train.study", "train.study.check", "train.study.estimate"])
def test_without_pytorch_its_programs_say_how_to_get_it(program):
    code = ("import runpy, sys\n"
            "sys.modules['torch'] = None\n"
            f"sys.argv = ['tools.start', {program!r}]\n"
            "runpy.run_module('tools.start', run_name='__main__')")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: PyTorch is not installed") and (
        done.stderr.count("\n") == 1)


def test_no_locks_no_download(nothing_installed, monkeypatch, capsys):
    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert bootstrap.main() == 2 and not nothing_installed
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no locks in" in error and error.endswith("clone it to a local disk\n")


def test_a_read_only_clone_no_download(nothing_installed, monkeypatch, capsys):
    monkeypatch.setattr("builtins.open", read_only)
    assert bootstrap.main() == 2 and not nothing_installed
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot write to" in error and "clone it to a folder that you may write to" in error


def read_only(*_, **__):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("name, way_out", [
    *((name, f"export {name}=/tmp") for name in ("TMPDIR", "TEMP", "TMP")), ("ROOT", "move it")])
def test_paths_with_a_space(nothing_installed, monkeypatch, capsys, tmp_path, name, way_out):
    folder = tmp_path / "a b"
    if name == "ROOT":
        monkeypatch.setattr(bootstrap, name, folder)
    else:
        monkeypatch.setenv(name, str(folder))
    assert bootstrap.main() == 2 and not nothing_installed
    error = capsys.readouterr().err
    assert f"{str(folder)!r} has a space: {way_out}" in error and error.count("\n") == 1


@pytest.mark.parametrize("letter", ["$", "'", "#", ":", "%", ";"])
def test_paths_with_letters_that_make_would_read(nothing_installed, monkeypatch, capsys, tmp_path,
                                                 letter):
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path / f"a{letter}b")
    assert bootstrap.main() == 2 and not nothing_installed
    assert f"has a {letter}: move it" in capsys.readouterr().err


def test_another_checkouts_environment_is_left_alone(nothing_installed, tmp_path, capsys):
    """A link to it: its seal is not of this path, and must not be removed."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "complete").write_text("seal")
    bootstrap.VENV.symlink_to(other)
    assert bootstrap.main() == 2 and not nothing_installed
    assert (other / "complete").read_text() == "seal"
    assert capsys.readouterr().err.endswith("remove the link, rm .venv\n")

def test_foreign_modules_stay_out():
    """make hands no PYTHONPATH on: its modules would come before the pinned ones."""
    shown = subprocess.run(
        ["make", "-s", "-f", "-", "show"], cwd=ROOT, text=True, capture_output=True, check=True,
        input='include Makefile\nshow:\n\t@echo "[$$PYTHONPATH$$PYTHONHOME]"\n',
        env={**os.environ, "PYTHONPATH": "/elsewhere", "PYTHONHOME": "/elsewhere"})
    assert shown.stdout == "[]\n"


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")


def test_a_cache_without_locks(own_cache, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(ToolError, match=r"no locks in .*cache \(.*\): make `build` a link to a fo"):
        cached("thing", "key", [], lambda folder: None)


def test_a_read_only_cache(own_cache, monkeypatch):
    monkeypatch.setattr("builtins.open", read_only)
    with pytest.raises(ToolError, match=r"cannot write to .*cache \(.*\): make `build` a link"):
        cached("thing", "key", [], lambda folder: None)


def test_what_is_complete_can_be_read_where_nothing_can_be_written(own_cache, monkeypatch):
    folder = cached("thing", "key", ["product"], lambda f: (f / "product").write_text("made"))
    monkeypatch.setattr("tools.cache.open", read_only, raising=False)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert cached("thing", "key", ["product"], read_only) == folder


def test_another_verilators_root_is_ignored(monkeypatch):
    """It would stop every other installation of Verilator."""
    monkeypatch.setenv("VERILATOR_ROOT", "/usr")
    assert "VERILATOR_ROOT" not in verilator.environment()
    version = verilator._output([str(verilator.verilator_bin() / "verilator"), "--version"])
    assert version.strip()


class TestObjects:
    """Objects of Verilator's library, which models share."""

    @pytest.fixture
    def compile(self, tmp_path):
        """Compiles a file of that name in a folder of its own; returns what came of it."""
        library = tmp_path / "include"
        library.mkdir()
        kept = tmp_path / "kept"
        kept.mkdir()
        log = tmp_path / "log"
        compiler = tmp_path / "compiler"
        compiler.write_text(f'#!/bin/sh\necho "$@" >>{log}\nprintf %s "object of $*" >"$3"\n')
        compiler.chmod(0o755)

        def run(name="verilated.cpp", *flags, where=kept):
            (library / name).touch()
            work = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
            work.mkdir()
            subprocess.run(["sh", verilator.OBJCACHE, where, compiler, "-c", "-o", "x.o", *flags,
                            library / name], cwd=work, check=True)
            return (work / "x.o").read_text(), len(log.read_text().splitlines())

        run.kept = kept
        return run

    def test_are_compiled_once(self, compile):
        first, _ = compile()
        assert compile() == (first, 1)
        assert compile("verilated.cpp", "-DROWS=4") == (first, 1)  # of the harness
        assert compile("verilated.cpp", "-O3")[1] == 2
        assert compile("verilated.cpp", "-DVM_TRACE=1")[1] == 3
        assert compile("verilated_vpi.cpp")[1] == 4

    def test_a_models_own_are_always_compiled(self, compile):
        assert [compile("Vtop.cpp")[1] for _ in range(2)] == [1, 2]
        assert not list(compile.kept.iterdir())

    @pytest.mark.parametrize("ending", [".o", ".sum"])
    def test_damage_is_mended(self, compile, ending):
        first, _ = compile()
        next(compile.kept.glob(f"*{ending}")).write_text("damaged")
        assert compile() == (first, 2) and compile() == (first, 2)

    def test_a_folder_that_cannot_be_written(self, compile, tmp_path):
        assert compile(where=tmp_path / "nowhere")[1] == 1

    def test_a_failing_compiler_fails(self, tmp_path):
        done = subprocess.run(["sh", verilator.OBJCACHE, tmp_path, shutil.which("false"), "-o", "x",
                               "/include/verilated.cpp"], cwd=tmp_path)
        assert done.returncode == 1 and not list(tmp_path.iterdir())

    def test_the_users_own_cache_is_left_alone(self, monkeypatch):
        monkeypatch.setenv("OBJCACHE", "ccache")
        assert verilator.environment()["OBJCACHE"] == "ccache"
