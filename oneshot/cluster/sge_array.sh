#!/bin/bash
# A sweep in parts on Grid Engine, as slurm_array.sh is for Slurm: see there. **Its syntax is checked, and no Grid Engine has run it.**
#
#   qsub sge_array.sh SWEEP
#
# -notify sends SIGUSR2 ahead of the kill at the hard limit, by the queue's `notify` seconds: ask for at least 60. The status 99 puts a task
# back into the queue.

#$ -N oneshot
#$ -q YOUR-QUEUE
#$ -t 1-8
#$ -pe smp 4
#$ -l h_rt=04:00:00
#$ -notify
#$ -r y
#$ -j y
#$ -S /bin/bash
#$ -cwd

# How many parts the sweep has: the end of -t above.
SHARDS=8

PROJECT=/YOUR/SHARED/FOLDER/oneshot
RESULTS=/YOUR/SHARED/FOLDER/results

# What a node needs before Python starts.
prepare() {
    # module load python/3.11 cuda
    . "$PROJECT/.venv/bin/activate"
}

# ---- Below here nothing needs to be edited

[ $# -gt 0 ] || { echo "error: which sweep? qsub sge_array.sh SWEEP" >&2; exit 2; }
cd "$PROJECT" || exit 2
prepare

export RAY_TMPDIR="/tmp/os-$UID-$JOB_ID-$SGE_TASK_ID"
mkdir -p -m 700 "$RAY_TMPDIR" || exit 2
trap 'rm -rf "$RAY_TMPDIR"' EXIT
export OMP_NUM_THREADS="${NSLOTS:-1}"
unset RAY_ADDRESS

python run_sweep.py "$@" --shard "$SGE_TASK_ID/$SHARDS" --local --results "$RESULTS" &
run=$!
trap 'trap "" USR2 TERM; kill -TERM "$run"' USR2 TERM

while true; do
    wait "$run"
    status=$?
    { [ "$status" -gt 128 ] && kill -0 "$run" 2>/dev/null; } || break
done

# 143: stopped and saved.
[ "$status" -ne 143 ] || exit 99
exit "$status"
