#!/usr/bin/env bash
# Makes the environment once, then runs what it is given in it; from any folder, paths are the caller's.
#   ./launch.sh --nproc 8 scenario=dense [key=value ...]    a run: a rank flies a satellite, or several
#   ./launch.sh test [pytest arguments]                      the tests, a process a core (at most 4; -n 0: one alone)
#   ./launch.sh python -m benchmarks.coding                  anything else, inside the same environment
set -euo pipefail
home=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd -P)
venv=${DLRC_VENV:-$home/.venv}

fail() { echo "error: $1" >&2; exit 2; }

choose_python() {
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.10 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; raise SystemExit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"; return
    fi
  done
  fail "no Python 3.10, 3.11 or 3.12 found; install one, or name it in PYTHON="
}

ready() { [ -f "$venv/.ready" ] && [ "$(cat "$venv/.ready")" = "$stamp" ]; }

# One launch at a time makes the environment; the lock goes with this shell, whatever ends it.
make_environment() {
  python=$(choose_python)
  mkdir -p "$venv" 2>/dev/null && : 2>/dev/null 9>>"$venv/.lock" ||
    fail "$venv: cannot write there; name a folder for the environment in DLRC_VENV="
  exec 9>>"$venv/.lock"
  "$python" -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("Waiting for another launch that sets up this environment ...", file=sys.stderr, flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)'
  ready && return
  echo "Setting up $venv with $python (once; a few minutes) ..." >&2
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || fail "$python -m venv $venv: failed"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check -r "$home/requirements.lock" >&2 ||
    fail "requirements.lock: not installed; pip says why above"
  echo "$stamp" > "$venv/.ready"
}

case "${1:-}" in
  "" | -h | --help)
    if [ $# -le 1 ] && [ -f "$home/dlrc/help.txt" ]; then cat "$home/dlrc/help.txt"; exit 0; fi ;;
esac

stamp=$(cksum < "$home/requirements.lock")
ready || make_environment
exec 9>&-

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} PYTHONUNBUFFERED=1
case "${1:-}" in
  test | python)
    export PYTHONPATH="$home${PYTHONPATH:+:$PYTHONPATH}"
    (cd "$home" && "$venv/bin/python" -m nodes.process.warm_up) ;;
esac
case "${1:-}" in
  test)  # a file stays in one process, where its tests share what they set up
    shift; cd "$home"
    exec "$venv/bin/python" -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@" ;;
  python)  # its tools come first on the PATH: pyright takes the environment from there
    shift
    export PATH="$venv/bin:$PATH"
    exec "$venv/bin/python" "$@" ;;
  *) exec "$venv/bin/python" "$home/launch.py" "$@" ;;
esac
