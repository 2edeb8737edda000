"""Prefect flows: compile a script into one, or run any script by the generic one."""

from loadflow.flows.compile import compile_script
from loadflow.flows.ending import NotPassed, load_of, loads_of, results_of, same_verdict
from loadflow.flows.run_script import run_script
from loadflow.flows.scenario import flow_of

__all__ = ["NotPassed", "compile_script", "flow_of", "load_of", "loads_of", "results_of", "run_script", "same_verdict"]
