# SPDX-License-Identifier: Apache-2.0
"""`make replay FILE=`: run one recorded job on the RTL and on the golden model.

TRACE=1 writes the waveform of just that job beside the file, as .fst. Exit status: 0 if the results
are the same to the bit, 1 if they differ (or the RTL brings the job to no end), 2 if the file or
the backend cannot be used.
"""

import sys
import zipfile
from pathlib import Path

from driver.checked import BACKENDS, open_backend
from driver.reproducer import describe, first_difference, load_job
from golden.adaptive import Adapt
from golden.config import preset
from golden.engine import Backend, GoldenBackend, Job
from golden.rescale import Rescaled
from tools.arguments import Parser, add_switch, one_of
from tools.errors import ToolError


def main(arguments: list[str] | None = None) -> int:
    parser = Parser("make replay", __doc__)
    parser.add_argument("file", nargs="?", default="",
                        help="a mismatch-*.npz written by a training run")
    parser.add_argument("--backend", type=one_of(BACKENDS), default="rtl", metavar="NAME",
                        help=f"{', '.join(BACKENDS)} (default: %(default)s)")
    add_switch(parser, "trace", "write the RTL's waveform beside the file, as .fst")
    options = parser.parse_args(arguments)
    try:
        file = _job_file(options.file)
        job, preset_name, entry = load_job(file)
        golden = GoldenBackend(preset(preset_name))
        setup = []
        if entry is not None and job.adapt is not None:  # the table as the job found it
            setup.append(Job.table(Adapt(job.adapt.tensor, preset=entry)))
        waveform = file.with_suffix(".fst") if options.trace else None
        device = open_backend(options.backend, preset_name,
                              (waveform, len(setup), 1) if waveform else None)
    except (ValueError, OSError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        actual: Rescaled | RuntimeError = _last(device, [*setup, job])
    except RuntimeError as error:  # it hangs, or refuses the job
        actual = error
    finally:
        getattr(device, "close", lambda: None)()
    expected = _last(golden, [*setup, job])

    print(f"{describe(job)}, preset {preset_name}")
    _show("golden", expected)
    if isinstance(actual, RuntimeError):
        difference: object = actual
    else:
        _show(options.backend, actual)
        difference = first_difference(expected, actual)
    print(f"MISMATCH at {difference}" if difference else "same to the bit")
    if waveform:
        print(f"waveform: {waveform} (open it with gtkwave or surfer)")
    return 1 if difference else 0


def _last(backend: Backend, jobs: list[Job]) -> Rescaled:
    """The results of the last of the jobs."""
    return [backend.run(job) for job in jobs][-1]


def _job_file(name: str) -> Path:
    """The path, if there is an archive; what is inside is for `load_job` to judge."""
    expected = "expected a mismatch-*.npz as a training run writes it"
    if not name:
        raise ValueError(f"FILE= is missing: {expected}, "
                         "like FILE=build/run/mismatch-seed0-job21.npz")
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
