"""Everything registered in this environment keeps what its kind promises, and importing it is quiet."""

from __future__ import annotations

import subprocess
import sys

from wellposed.registry import registry
from wellposed.testing import parametrize_entries


@parametrize_entries(registry().entries())
def test_component(case) -> None:
    case()


def test_importing_components_changes_nothing_for_the_process() -> None:
    """In a fresh process, because here most modules were imported before anyone looked."""
    code = (
        "from wellposed.registry import registry\n"
        "from wellposed.testing.case import cases_of_entry\n"
        "for entry in registry().entries():\n"
        "    next(case for case in cases_of_entry(entry) if case.check == 'loads')()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
