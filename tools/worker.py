# SPDX-License-Identifier: Apache-2.0
"""The side of `tools.jobs` that does the work: pickled jobs in, pickled answers out.

`python -m tools.worker FD` is a process of this machine, which talks through the pipe FD: it ends,
and all that it has started ends, when the other end of the pipe closes, however that comes. Workers
of Dask call `serve`.
"""

import os
import pickle
import pkgutil
import queue
import signal
import sys
import threading
import time
import traceback
import zlib
from multiprocessing.connection import Connection

from tools.checkout import checkout, difference
from tools.errors import UnfitError

GRACE = 3.0  # seconds that a job has to remove its temporary files


def answer(payload: bytes) -> bytes:
    """Run a job, pickled as the name of a function and its arguments; (value, error), pickled."""
    try:
        name, arguments = pickle.loads(payload)
        return pickle.dumps((pkgutil.resolve_name(name)(*arguments), None))
    except Exception as error:
        return pickle.dumps((None, portable(error)))


def portable(error: Exception) -> Exception:
    """The error with a note of where it was raised; one without its type if that cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__)
    error.add_note("in a worker:\n" + "".join(traceback.format_tb(error.__traceback__)))
    return error


def serve(payload: bytes, theirs: dict[str, str]) -> bytes:
    """`answer`, compressed on both ways; UnfitError where this is no worker for the caller, whose
    checkout is `theirs`."""
    from distributed import get_worker

    worker = get_worker()
    if worker.state.nthreads != 1:  # what sets a seed or an environment would disturb the others
        raise UnfitError(f"worker {worker.address} runs {worker.state.nthreads} jobs in one "
                         "process: start it with --nthreads 1 (and --nworkers)")
    if found := difference(theirs, checkout()):
        raise UnfitError(f"worker {worker.address} has another checkout ({found}): update it, "
                         "`make setup`, and start it again")
    return zlib.compress(answer(zlib.decompress(payload)), 1)


def main(descriptor: int) -> None:
    """Serve the pipe; never returns."""
    pipe, todo = Connection(descriptor), queue.SimpleQueue[bytes]()
    main_thread = threading.get_ident()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())

    def listen() -> None:
        try:
            while True:
                todo.put(pipe.recv_bytes())
        except (EOFError, OSError):  # nobody is there any more: the job may tidy up
            signal.pthread_kill(main_thread, signal.SIGTERM)
            time.sleep(GRACE)
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=listen, daemon=True).start()
    try:
        while True:
            pipe.send_bytes(answer(todo.get()))
    finally:
        os.killpg(0, signal.SIGKILL)  # with the programs that it has started, and their children


if __name__ == "__main__":
    main(int(sys.argv[1]))
