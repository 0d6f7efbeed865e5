#!/usr/bin/env bash
# Install Slurm and munge, for the tests beside this script, where they are missing.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

missing=()
for command in munged slurmctld slurmd sbatch srun; do
  command -v "$command" >/dev/null || missing+=("$command")
done
if ((${#missing[@]} == 0)); then
  exit
fi
if ! command -v apt-get >/dev/null; then
  echo "error: There is no ${missing[0]} and no apt-get to install it; run make test-slurm on Debian or Ubuntu," \
    "for instance in a container." >&2
  exit 1
fi
if command -v sbatch >/dev/null; then
  echo "error: This machine has Slurm's sbatch, but no ${missing[0]}; run make test-slurm on a machine that does" \
    "not belong to a cluster." >&2
  exit 1
fi
run=()
if ((EUID)); then
  run=(sudo)
fi
"${run[@]}" apt-get update --quiet=2
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
  munge slurmctld slurmd slurm-client
