#!/bin/sh
# Runs the tests against the loadflow that $PYTHON has installed, from a copy in a folder of its own: nothing of the checkout
# can be imported, so a file that is missing in the wheel is missed here too. Arguments go to pytest.
# Without ALL=1, tests that are marked `long` are left out, and properties are tried with fewer values.
set -eu

checkout=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

for part in tests .ci examples docs benchmarks deployments README.md CHANGELOG.md prefect.yaml pyproject.toml; do
    if [ -e "$checkout/$part" ]; then cp -R "$checkout/$part" "$folder/"; fi
done
mkdir "$folder/native"
cp -R "$checkout/native/src" "$folder/native/" # whose rooms are looked at; no test can build it
rm -rf "$folder/benchmarks/.peers" # other load generators, where the comparison installed them

cd "$folder"
unset PYTHONPATH PREFECT_API_URL LOADFLOW_RUNS_DIR
export PREFECT_HOME="$folder/prefect"
export LOADFLOW_INSTALLED=1
if [ "${ALL:-}" = 1 ]; then unset LOADFLOW_TEST_LONG; else export LOADFLOW_TEST_LONG=0; fi
export LOADFLOW_DIST="$checkout/dist"
export LOADFLOW_TEST_TIMES="${LOADFLOW_TEST_TIMES:-$folder/times.jsonl}" # the sums are printed at the end
unset PYTHONDONTWRITEBYTECODE # the tests' processes compile each file once: the folder goes at the end
"$PYTHON" -m pytest -p no:cacheprovider -n "${WORKERS:-6}" --dist loadgroup "$@"
