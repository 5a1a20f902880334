"""Commands killed at random moments: what was acknowledged is there, the end the same.

    python benchmarks/kills.py training [--kills 200] [--seed 1]
    python benchmarks/kills.py index [--kills 200] [--seed 1]

SIGKILL comes at a moment drawn from the whole life of the command, start and saves
included, counted in CPU time, so that other work on the machine moves none of them.
`training`: a small ner run, saved every other step, is killed and resumed until it
ends, again and again; each must have the same bits as one that nothing disturbed.
`index`: an index is built, added to, changed and taken from; each command is killed and
given again until it says that it is done. After each kill the folder is opened and
read. Prints JSON; what breaks a promise ends it, and its folder is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from forked import import_all  # noqa: E402
from killed_index import kill_index  # noqa: E402
from killed_training import kill_training  # noqa: E402

SUBJECTS = {"training": kill_training, "index": kill_index}


def main() -> None:
    """Kill and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    import_all()
    folder = Path(tempfile.mkdtemp(prefix="nlpcli-kills-"))
    print(f"in {folder}", file=sys.stderr, flush=True)
    started = time.monotonic()
    rng = random.Random(options.seed)
    told = SUBJECTS[options.subject](folder, options.kills, rng)
    shutil.rmtree(folder)
    seconds = round(time.monotonic() - started)
    print(json.dumps({"subject": options.subject, **told, "seconds": seconds}))


if __name__ == "__main__":
    main()
