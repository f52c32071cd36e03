"""`python kill_cases.py ROOT COUNT SEED`: lets a search write to its record and its tracking store, and kills it, COUNT
times. Prints what each kill left, a line of JSON each.

A process that has loaded mlflow forks the writers, so that each of them begins within a moment.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from search.study import Ended, Proposed, Reported, Study
from search.tracking import Tracker, tracking_uri
from search.tracking.database_reader import integrity
from search.tracking.store import open_client

LONGEST_S = 0.06
# So often one study is cut off and resumed; what it holds is read anew each time, so it should not grow for long.
KILLS_OF_A_STUDY = 10


def main(root: Path, kills: int, seed: int) -> None:
    """Makes store and study, then kills one writer after another."""
    drawn = random.Random(seed)
    made = root / "made"
    open_client(tracking_uri(made, None))
    # No connection may cross a fork: writers open a copy that this process never opened.
    shutil.copy(made / "mlflow.db", root / "mlflow.db")
    for number in range(kills):
        study = f"killed-{number // KILLS_OF_A_STUDY}"
        if number % KILLS_OF_A_STUDY == 0:
            Study.create(root, study, "name: killed\n").close()
        written = kill_one(partial(write_for_good, root, study), drawn.uniform(0, LONGEST_S))
        half_written = (root / "mlflow.db-journal").exists()
        complaints = integrity(root / "mlflow.db")
        trials = Study.open(root, study).trials()
        sys.stdout.write(json.dumps([written, half_written, complaints, len(trials)]) + "\n")
        # Else a fork would carry the line along, and write it once more.
        sys.stdout.flush()


def kill_one(write: Callable[[int], None], seconds: float) -> bool:
    """Forks a writer and kills it once it has worked so long since it was ready. Returns whether it was still writing.

    seconds: of processor time, so that on a busy machine, too, it has come as far.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            write(writing)
        finally:
            os._exit(1)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    clock = ~pid << 3 | 2  # As clock_getcpuclockid(3), which Python has for threads only.
    until = time.clock_gettime(clock) + seconds
    while time.clock_gettime(clock) < until and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def write_for_good(root: Path, name: str, ready: int) -> None:
    """Trials without end, record first."""
    uri = tracking_uri(root, None)
    with Study.resume(root, name, "") as study, Tracker(uri, name, resume=True, flush_s=0.0) as tracker:
        os.write(ready, b".")
        for number in count(len(study.trials())):
            study.append(Proposed(trial=number, values={"pretrain.lr": 0.1}, starting_point=False))
            tracker.start_trial(number, {"pretrain.lr": 0.1}, {"fold": 0})
            for budget in range(1, 11):
                metrics = {f"val.m{place}": number + budget / 7 for place in range(20)}
                study.append(Reported(trial=number, stage="downstream", epoch=budget, budget=budget, metrics=metrics))
                tracker.log(number, budget, metrics)
            study.append(
                Ended(trial=number, state="complete", failure=None, message="", budget=10, seconds=0.0, notes=())
            )
            tracker.end_trial(number, "complete", {}, {})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
