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
if command -v sbatch >/dev/null; then
  echo "error: This machine has Slurm's sbatch, but no ${missing[0]}; run make test-slurm on a machine that does" \
    "not belong to a cluster." >&2
  exit 1
fi
"$(dirname "$0")/../../support/apt_install.sh" munge slurmctld slurmd slurm-client
