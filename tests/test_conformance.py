"""Everything registered in this environment keeps what its kind promises, and importing it is quiet."""

from __future__ import annotations

import subprocess
import sys

from wellposed.registry import registry
from wellposed.testing import parametrize_entries

_IMPORT_ALL = """
from wellposed.registry import registry
from wellposed.testing.global_state import GlobalState

for entry in registry().entries():
    before = GlobalState.now()
    try:
        entry.load()
    except Exception:
        continue  # told by the case `loads` of that component
    for change in before.changes():
        print(f"importing {entry.target} changes {change}")
"""


@parametrize_entries(registry().entries())
def test_component(case) -> None:
    case()


def test_importing_components_changes_nothing_for_the_process() -> None:
    """In a fresh process, because here most modules were imported before anyone looked."""
    run = subprocess.run([sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
