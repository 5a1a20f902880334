"""The shipped recipes, as ``nlpcli.recipes.<name>``, in a checkout.

Their folder stands beside nlpcli here and takes this module's place in a wheel. Found
by where it is: another ``recipes`` on the path is never taken for it.
"""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[1] / "recipes")]
