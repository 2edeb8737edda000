"""`loadflow check --prove`: what came of the proofs, in lines and as an exit code."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from loadflow.cli.console import Styled, echo
from loadflow.engine.base.counted import counted
from loadflow.engine.base.verdict import EXIT_CODES, VerdictKind

if TYPE_CHECKING:
    from loadflow.engine.proving.proof import Proof
    from loadflow.engine.scenario.definition import ScenarioDef
    from loadflow.engine.scenario.tracing import Trace

__all__ = ["exit_code_of", "print_proofs"]


def print_proofs(made: ScenarioDef, trace: Trace, file: str) -> list[Proof]:
    """Prove the traced functions of a scenario, and print a line for each; those that Python runs anyway need no proof."""
    from loadflow.engine.proving.proof import prove

    proofs = prove(made, trace, Path(file))
    for one in proofs:
        echo(f"  {one.name}: ", *_words(one))
    if not proofs:
        echo("  nothing to prove, as no function is traced")
    return proofs


def _words(proof: Proof) -> Iterable[str | Styled]:
    if proof.difference:
        return Styled("differs", fg="red"), f": {proof.difference}"
    same = f"{counted(proof.passes, 'pass', 'passes')}, {counted(proof.requests, 'request')} each the same"
    if proof.unproved:
        return Styled("not proved", fg="yellow"), f": {proof.unproved}" + (f"; {same}" if proof.passes else "")
    return Styled("proved", fg="green"), f": {same}"


def exit_code_of(proofs: Iterable[Proof]) -> int:
    """0: all are proved, or there is nothing to prove."""
    proofs = list(proofs)
    if any(one.difference for one in proofs):
        return EXIT_CODES[VerdictKind.FAILED]
    return EXIT_CODES[VerdictKind.INCONCLUSIVE] if any(one.unproved for one in proofs) else 0
