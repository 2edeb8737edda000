"""Python processes that begin as forks of one that has imported Prefect and loadflow.

To import them costs two to four CPU seconds, and the tests start hundreds of processes that do: commands, workers, flow runs,
servers, supervisors, engines, and the workers of xdist. Here `subprocess.Popen` of `python -m MODULE`, with one of `asked.MODULES`, is
answered by a warm process, which forks. What runs in the fork is the module itself, by `runpy`, from its first line to its exit hooks;
only Python's start and the imports are left out. A fork is a child of whoever asked for it, and looks like what it would have been:
command line, environment, folder, streams, session, signals, limits. Each has a warm process of its own, made before anything else, for
what it starts itself.

A test about the start of a process, or about what is imported, says `@pytest.mark.real_engines`; LOADFLOW_TEST_REAL_ENGINES=1 says
it for all. What is started in another way (a shell, `unshare`, most of `python -c`) is as it always was, and so is all that it starts.
"""
