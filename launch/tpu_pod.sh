#!/usr/bin/env bash
# A Cloud TPU VM slice: all its workers run one program over all its chips. From the repository's
# root, with gcloud set up (project, account, ssh-add ~/.ssh/google_compute_engine):
#   export TPU_NAME=my-slice ZONE=europe-west4-a
#   launch/tpu_pod.sh install    # what is committed, and its environment, on all workers
#   launch/tpu_pod.sh --config=configs/sweep.py --workdir=/mnt/runs/sweep
#   launch/tpu_pod.sh stop       # as Ctrl-C does: the state is saved
# --workdir must be mounted at the same place on all workers, with file locks (Filestore, not gcsfuse).
# The program does not hang on the connection: the same command follows the one that is running, or
# resumes one that was stopped or died. Each worker's output is also in ~/oes_jax/log there. The
# table: --summarise on any machine that has the folder (on a worker with JAX_PLATFORMS=cpu set).
# Exit code: the program's, of the first worker that did not return 0.
set -euo pipefail
: "${TPU_NAME:?the name of the TPU slice}" "${ZONE:?its zone}"

on_all() {
  gcloud compute tpus tpu-vm ssh "$TPU_NAME" --zone="$ZONE" --worker=all --command="$1"
}

case ${1:-} in
  install)
    archive=$(mktemp)
    trap 'rm -f "$archive"' EXIT
    git archive --format=tar.gz HEAD > "$archive"
    gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:oes_jax.tar.gz" --zone="$ZONE" --worker=all
    # The workers' Python may be older than 3.11: uv brings one.
    on_all "set -e
      mkdir -p oes_jax && tar -xzf oes_jax.tar.gz -C oes_jax && cd oes_jax
      python3 -m pip install --user --quiet uv
      python3 -m uv venv --python 3.12 --seed --allow-existing .venv
      .venv/bin/pip install --quiet -r requirements.txt 'jax[tpu]'"
    ;;
  stop)
    on_all "cd oes_jax; flock -n lock true || kill -TERM \"\$(cat pid)\""
    ;;
  --*)
    trap 'trap "" INT TERM; "$0" stop; wait; exit 143' INT TERM
    # gcloud runs a command again when its connection broke: the lock lets only one program start.
    on_all "cd oes_jax; export PATH=\$PWD/.venv/bin:\$PATH
      start() {
        trap '' HUP
        rm -f code
        python -m oes_jax.main $(printf '%q ' "$@") --distributed &
        echo \$! > pid
        wait \$!
        echo \$? > code
      }
      (flock -n 9 && { : > log; start >> log 2>&1 < /dev/null & }) 9> lock
      tail -n +1 -f log & follow=\$!
      flock lock sleep 0.5  # waits for the program's end
      kill \$follow
      exit \"\$(cat code || echo 1)\"" &
    wait $!
    ;;
  *)
    echo "usage: launch/tpu_pod.sh install | stop | --config=... --workdir=..." >&2
    exit 2
    ;;
esac
