#!/bin/bash
# A sweep in parts on Slurm, each of which needs one GPU or a few processors. Copy this file, edit what says YOUR-..., and then:
#
#   python run_sweep.py --check-cluster slurm_array.sh
#   sbatch slurm_array.sh SWEEP [options of run_sweep.py]
#
# Each task trains its part of the sweep; all write to one folder of results, and one of them writes the tables. Ahead of the time limit a
# task saves and goes back into the queue, until its part is done. A part that was lost is run again: sbatch --array=3 slurm_array.sh SWEEP

#SBATCH --job-name=oneshot
#SBATCH --partition=YOUR-PARTITION
# From 1 to SHARDS, which stands below. %4 after it would let four tasks run at once.
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
##SBATCH --gpus=1
#SBATCH --time=04:00:00
# Seconds before the time limit, to the batch script alone (B:). A training has 30 seconds to save; Slurm may be a minute late.
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.log

# How many parts the sweep has. All tasks need the same number, also one that is run again alone.
SHARDS=8

# The folder of the project, and of the results; all nodes must see both under these paths. s3:// and the like go as well.
PROJECT=/YOUR/SHARED/FOLDER/oneshot
RESULTS=/YOUR/SHARED/FOLDER/results

# What a node needs before Python starts.
prepare() {
    # module load python/3.11 cuda
    . "$PROJECT/.venv/bin/activate"
}

# A container in place of the line that activates .venv; its paths must be those of the nodes.
CONTAINER=
# CONTAINER="apptainer exec --nv --bind /YOUR/SHARED/FOLDER /YOUR/SHARED/FOLDER/oneshot.sif"

# One process, which has the task's GPU or processors for itself. Empty: Ray on the processors of the task, one trial each.
ENGINE=--local

# How often a task goes back into the queue at most, so that one that never gets on ends.
MOST_RESTARTS=100

# ---- Below here nothing needs to be edited

[ $# -gt 0 ] || { echo "error: which sweep? sbatch slurm_array.sh SWEEP" >&2; exit 2; }
cd "$PROJECT" || exit 2
prepare

# Of this task alone. It is short: a socket's path has at most 107 bytes, and Ray takes 64 of them below this folder.
export RAY_TMPDIR="/tmp/os-$UID-$SLURM_JOB_ID"
mkdir -p -m 700 "$RAY_TMPDIR" || exit 2
trap 'rm -rf "$RAY_TMPDIR"' EXIT
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
unset RAY_ADDRESS

$CONTAINER python run_sweep.py "$@" --shard "$SLURM_ARRAY_TASK_ID/$SHARDS" $ENGINE --results "$RESULTS" &
run=$!
stopping=
trap 'trap "" TERM; stopping=yes; kill -TERM "$run"' TERM

while true; do
    wait "$run"
    status=$?
    # A signal interrupts `wait`; the run goes on.
    { [ "$status" -gt 128 ] && kill -0 "$run" 2>/dev/null; } || break
done

# 143: stopped and saved; or more than 128 where it was killed while it stopped. The task may also have been cancelled: then its state is
# not RUNNING, and it stays out of the queue.
if [ "$stopping" ] && [ "$status" -gt 128 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$MOST_RESTARTS" ]; then
    if scontrol show job --oneliner "$SLURM_JOB_ID" | grep -q "JobState=RUNNING"; then
        echo "Saved; back into the queue."
        scontrol requeue "$SLURM_JOB_ID" && exit 0
    fi
fi
exit "$status"
