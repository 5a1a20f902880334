"""A command in a process of its own, which must not import TensorFlow or Keras."""

import subprocess
import sys


def answered(*words):
    """What the command prints."""
    code = (
        "import sys\nfrom nlpcli.cli.main import app\n"
        f"app({[str(word) for word in words]!r}, standalone_mode=False)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
