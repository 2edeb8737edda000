"""`python -m loadflow` is the `loadflow` command."""

from loadflow.cli import main

if __name__ == "__main__":
    main(prog_name="loadflow")
