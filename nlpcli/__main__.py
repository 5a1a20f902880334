"""``python -m nlpcli`` is the ``nlpcli`` command."""

from nlpcli.cli.main import run

if __name__ == "__main__":
    run()
