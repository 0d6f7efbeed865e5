#!/usr/bin/env bash
# Runs a command of this project on all hosts of a Cloud TPU slice.
#
#   launch/tpu/tpu.sh create                            request the slice, and wait for it
#   launch/tpu/tpu.sh start launch.train --workdir=...  start a command on all hosts
#   launch/tpu/tpu.sh logs                              follow what all hosts print
#   launch/tpu/tpu.sh stop                              let the command save, and end it
#   launch/tpu/tpu.sh delete                            give the slice back
#
# These variables are needed: TPU, a name for the slice; ZONE; TYPE, such as v6e-16; RUNTIME, such as
# v2-alpha-tpuv6e; and IMAGE, an image of launch/gke/Dockerfile. SPOT=1 requests a slice that may be preempted.
set -euo pipefail

RESTARTS=100 # of the command, after it ended with another status than 0
GRACE=300    # seconds from SIGTERM to SIGKILL, for the last step and the save
POLL=${POLL:-30}

need() {
  local name
  for name in "$@"; do
    if [[ -z ${!name:-} ]]; then
      echo "error: $name is not set; the first lines of $0 explain it." >&2
      exit 2
    fi
  done
}

on_all_hosts() {
  gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="$1"
}

create() {
  need TPU ZONE TYPE RUNTIME
  local state options=()
  if [[ ${SPOT:-} == 1 ]]; then options+=(--spot); fi
  gcloud compute tpus queued-resources create "$TPU" --node-id="$TPU" --zone="$ZONE" \
    --accelerator-type="$TYPE" --runtime-version="$RUNTIME" "${options[@]}"
  while true; do
    state=$(gcloud compute tpus queued-resources describe "$TPU" --zone="$ZONE" --format='value(state.state)')
    echo "$TPU: $state" >&2
    case $state in
      ACTIVE) return ;;
      FAILED | SUSPENDED)
        echo "error: The slice is $state; delete it, and request another." >&2
        exit 1
        ;;
    esac
    sleep "$POLL"
  done
}

start() {
  need TPU ZONE IMAGE
  local command=(sudo docker run --detach --name=train --privileged --net=host
    --restart="on-failure:$RESTARTS" --stop-timeout="$GRACE" "$IMAGE" "$@")
  # The containers of an earlier start have ended, or are told to.
  on_all_hosts "sudo gcloud auth configure-docker ${IMAGE%%/*} --quiet && sudo docker pull --quiet $IMAGE &&
(sudo docker stop train && sudo docker rm train || true) 2>/dev/null && ${command[*]@Q}"
}

logs() {
  need TPU ZONE
  on_all_hosts "sudo docker logs --follow --tail=50 train 2>&1"
}

stop() {
  need TPU ZONE
  on_all_hosts "sudo docker stop train"
}

delete() {
  need TPU ZONE
  gcloud compute tpus queued-resources delete "$TPU" --zone="$ZONE" --force --quiet
}

case ${1:-} in
  create | start | logs | stop | delete) "$@" ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
