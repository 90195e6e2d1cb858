#!/usr/bin/env bash
# One machine: N shares of the cases side by side, then the table of all of them.
#   launch/local.sh [N] --config=configs/sweep.py --workdir=runs/sweep
# N: the number of processes, 1 if left out. On CPUs at most one per core, as far as memory goes.
#    With GPUs leave it out: one process uses all of them.
# Run it from the repository's root, with the environment active. Ctrl-C or SIGTERM: every share
# saves its state, and the same command goes on from there; with another N, what is finished stays
# and what was begun starts over.
# Exit code: the highest of the shares' (0: all done, 1: a case failed, 2: bad usage, 143: stopped).
set -um  # -m: shares are process groups of their own, so that Ctrl-C reaches them once, from here

n=1
if [[ ${1:-} =~ ^[1-9][0-9]*$ ]]; then
  n=$1
  shift
fi
if [[ ${1:-} != --* ]]; then
  echo "usage: launch/local.sh [N] --config=... --workdir=..." >&2
  exit 2
fi

stopped=0
# shellcheck disable=SC2329  # trap calls it
stop() {
  local pid
  stopped=1
  for pid in $(jobs -pr); do
    kill -TERM "$pid"
  done
}
trap stop INT TERM HUP

pids=()
for ((i = 0; i < n && !stopped; i++)); do
  python -m oes_jax.main "$@" --shard="$i/$n" &
  pids+=($!)
done

worst=0
for pid in "${pids[@]}"; do
  while kill -0 "$pid" 2> /dev/null; do
    wait "$pid"  # a signal to this script ends the wait early
  done
  wait "$pid"
  code=$?
  worst=$((code > worst ? code : worst))
done

if ((stopped || worst == 2)); then
  exit "$worst"
fi
python -m oes_jax.main "$@" --summarise
code=$?
exit $((code > worst ? code : worst))
