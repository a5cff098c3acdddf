"""The table of mutants caught: `python -m tests.mutants [KIND …] [--any]`, from the root of the checkout.

A mutant counts as caught where a check fails that is about what was changed; with `--any`, where any check fails
that the right component passes (the measure by which kits of other versions are compared).
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from .mutant import Mutant, failure, failure_of_base, failures
from .suite import MUTANTS


def main(arguments: list[str]) -> None:
    by_any = "--any" in arguments
    kinds = [a for a in arguments if not a.startswith("-")]
    caught: Counter[str] = Counter()
    count: Counter[str] = Counter()
    started = time.process_time()
    for mutant in MUTANTS:
        if kinds and mutant.kind not in kinds:
            continue
        count[mutant.kind] += 1
        told = _any(mutant) if by_any else _about(mutant)
        caught[mutant.kind] += bool(told)
        if not told:
            print(f"survives: {mutant.id}  {mutant.survives}", flush=True)
        elif mutant.survives:
            print(f"caught after all: {mutant.id}", flush=True)
        elif "--verbose" in arguments:
            print(f"{mutant.id}: {told}", flush=True)
    for kind, number in count.items():
        print(f"{kind:15} {caught[kind]:4} / {number}")
    print(f"{'all':15} {caught.total():4} / {count.total()}  in {time.process_time() - started:.0f} s")


def _about(mutant: Mutant) -> str:
    for name in mutant.caught_by:
        message = failure(mutant.subject, name)
        if message:
            before = failure_of_base(mutant, name)
            if before:
                print(f"the right component fails: {mutant.id}: {name}: {before}", flush=True)
                continue
            return f"{name}: {message}"
    return ""


def _any(mutant: Mutant) -> str:
    found = failures(mutant.subject)
    return next((name for name in found if failure_of_base(mutant, name) is None), "")


if __name__ == "__main__":
    main(sys.argv[1:])
