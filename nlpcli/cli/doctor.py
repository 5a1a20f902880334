"""``nlpcli doctor``: what this machine really does."""

from __future__ import annotations

from nlpcli.cli.command import Command, verb
from nlpcli.cli.options import Json

EXAMPLES = "Examples:\n  nlpcli doctor\n  nlpcli doctor --json"

app = verb("doctor")


@app.command("doctor", cls=Command, epilog=EXAMPLES)
def show(as_json: Json = False) -> None:
    """Versions, devices, precision and XLA in force; some seconds to time bfloat16."""
    from nlpcli.cli.console import quiet_imports
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import pairs

    with quiet_imports():
        from nlpcli.runtime.doctor import report

    found = report()
    if as_json:
        print_json(found)
    else:
        print_text(pairs(found))
