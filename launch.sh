#!/usr/bin/env bash
# Set up once (venv, pinned dependencies), then run.
#   ./launch.sh scenario=dense [key=value ...]            one rank per satellite of the scenario
#   ./launch.sh --nproc 8 scenario=dense [key=value ...]
#   ./launch.sh test [pytest arguments]                    the tests
#   ./launch.sh python -m dlrc.studies.paper.sync scenario=...        anything else, inside the same environment
set -euo pipefail
cd "$(dirname "$0")"
venv=${DLRC_VENV:-.venv}

choose_python() {
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.10 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; raise SystemExit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"; return
    fi
  done
  echo "error: no Python 3.10, 3.11 or 3.12 found; install one, or name it in PYTHON=" >&2; exit 2
}

stamp=$(cksum < requirements.lock)
if [ ! -f "$venv/.ready" ] || [ "$(cat "$venv/.ready")" != "$stamp" ]; then
  python=$(choose_python)
  echo "Setting up $venv with $python (once; a few minutes) ..." >&2
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check -r requirements.lock >&2
  rm -f "$venv/.kernels"
  echo "$stamp" > "$venv/.ready"
fi
kernels=$(grep -rl --include="*.py" numba codec nodes constellation | xargs cat | cksum)
if [ ! -f "$venv/.kernels" ] || [ "$(cat "$venv/.kernels")" != "$kernels" ]; then
  "$venv/bin/python" -m nodes.process.warm_up >&2
  echo "$kernels" > "$venv/.kernels"
fi

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} PYTHONUNBUFFERED=1
case "${1:-}" in
  test) shift; exec "$venv/bin/python" -m pytest "$@" ;;
  python) shift; exec "$venv/bin/python" "$@" ;;
  *) exec "$venv/bin/python" launch.py "$@" ;;
esac
