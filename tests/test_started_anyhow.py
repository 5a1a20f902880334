"""The suite runs alike however it is started; see the fixture in conftest.py."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CASES = [
    "tests/cli/test_cli_process.py::test_an_interrupt_exits_with_130",
    "tests/cli/test_cli_files.py",
    "tests/checkpoints/test_download.py::test_a_name_is_downloaded_once",
]
ODD = {
    **{"COLUMNS": "30", "TERM": "xterm-256color", "FORCE_COLOR": "1"},
    **{"GITHUB_ACTIONS": "true", "NLPCLI_MODELS": "/nowhere", "TF_CONFIG": "{"},
    **{"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"},
}


def test_in_the_background_of_an_odd_terminal(tmp_path):
    def deaf():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    bare = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", ROOT, *(ROOT / x for x in CASES)],
        cwd=tmp_path,
        env={**bare, **ODD},
        preexec_fn=deaf,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-4000:]
