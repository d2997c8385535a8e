#!/bin/bash
# The pipeline on nodes that Slurm gives: sbatch infra/slurm.sh [PROFILE [STAGE ...]]
# From the repository's root on a file system that all nodes see, after `make check`. It may be
# sent again after a time limit or a lost node: what is done is kept.
#SBATCH --job-name=maskspace
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-task=4
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log

set -euo pipefail

cd "${SLURM_SUBMIT_DIR:?send it with sbatch}"
test -x .venv/bin/ray || { echo "slurm.sh: no .venv/bin/ray here; run make check first" >&2; exit 2; }
profile=${1:-full}
shift || true

# One token a job: srun passes it on in the environment, and no file holds it.
RAY_AUTH_TOKEN=$(head --bytes=32 /dev/urandom | od --address-radix=n --format=x1 | tr --delete ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0 RAY_CHDIR_TO_TRIAL_DIR=0 RAY_TRAIN_V2_ENABLED=1
export RAY_USAGE_STATS_ENABLED=0

head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head --lines=1)
port=$((20000 + SLURM_JOB_ID % 20000))
export RAY_ADDRESS="$head_node:$port" PATH="$PWD/.venv/bin:$PATH"

# A Ray node on each; the driver runs beside the head, and all of them end with it.
srun --kill-on-bad-exit=1 .venv/bin/ray symmetric-run \
    --address "$RAY_ADDRESS" \
    --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus="${SLURM_CPUS_PER_TASK:-1}" \
    --num-gpus="${SLURM_GPUS_PER_TASK:-0}" \
    --include-dashboard=false \
    -- .venv/bin/python -m workflows --profile "$profile" "$@"
