"""loadflow beside other load generators: one target, one request, one check, in turns. `python -m benchmarks.compare --help`."""
