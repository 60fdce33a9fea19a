# SPDX-License-Identifier: Apache-2.0
"""`make replay FILE=`: run one recorded job on the RTL and on the golden model.

Exit status: 0 if the results are the same to the bit, 1 if they differ, 2 if the file or the
backend cannot be used.
"""

import argparse
import sys
import zipfile
from pathlib import Path

from driver.checked import BACKENDS, open_backend
from driver.reproducer import describe, first_difference, load_job
from golden.adaptive import Adapt
from golden.config import preset
from golden.engine import GoldenBackend, Job
from golden.rescale import Rescaled


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make replay", description=__doc__)
    parser.add_argument("file", nargs="?", default="",
                        help="a mismatch-*.npz written by a training run")
    parser.add_argument("--backend", choices=BACKENDS, default="rtl", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        job, preset_name, entry = load_job(_job_file(options.file))
        device = open_backend(options.backend, preset_name)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    golden = GoldenBackend(preset(preset_name))
    if entry is not None and job.adapt is not None:  # the table as the job found it
        for backend in (golden, device):
            backend.run(Job.table(Adapt(job.adapt.tensor, preset=entry)))
    expected, actual = golden.run(job), device.run(job)
    getattr(device, "close", lambda: None)()

    difference = first_difference(expected, actual)
    print(f"{describe(job)}, preset {preset_name}")
    _show("golden", expected)
    _show(options.backend, actual)
    print(f"MISMATCH at {difference}" if difference else "same to the bit")
    return 1 if difference else 0


def _job_file(name: str) -> Path:
    """The path, if there is an archive; what is inside is for `load_job` to judge."""
    expected = "expected a mismatch-*.npz as a training run writes it"
    if not name:
        raise ValueError(f"FILE= is missing: {expected}, like make replay FILE=build/run/name.npz")
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"{path} does not hold a job: there is no such file; {expected}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} does not hold a job: it is no npz archive; {expected}")
    return path


def _show(name: str, result: Rescaled) -> None:
    for field, array in result.arrays.items():
        print(f"{name} {field}, {array.dtype} {list(array.shape)}:\n{array}")
    print(f"{name} bias_saturated: {bool(result.bias_saturated)}")
    if result.report is not None:
        print(f"{name} report: {result.report}")


if __name__ == "__main__":
    sys.exit(main())
