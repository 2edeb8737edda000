"""Prefect flows: compile a script into one, or run any script by the generic one."""

from loadflow.flows.compile import compile_script
from loadflow.flows.ending import NotPassed, results_of
from loadflow.flows.run_script import run_script

__all__ = ["NotPassed", "compile_script", "results_of", "run_script"]
