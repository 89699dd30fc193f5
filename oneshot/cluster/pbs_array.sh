#!/bin/bash
# A sweep in parts on PBS, as slurm_array.sh is for Slurm: see there. **Its syntax is checked, and no PBS has run it.**
#
#   qsub -v SWEEP=mine pbs_array.sh
#
# PBS sends SIGTERM at the time limit and kills after its kill_delay, which the administrators set: ask for at least 60 seconds.

#PBS -N oneshot
#PBS -q YOUR-QUEUE
#PBS -J 1-8
#PBS -l select=1:ncpus=4:mem=16gb
##PBS -l select=1:ncpus=4:ngpus=1:mem=16gb
#PBS -l walltime=04:00:00
#PBS -r y
#PBS -j oe

# How many parts the sweep has: the end of -J above.
SHARDS=8

PROJECT=/YOUR/SHARED/FOLDER/oneshot
RESULTS=/YOUR/SHARED/FOLDER/results

# What a node needs before Python starts.
prepare() {
    # module load python/3.11 cuda
    . "$PROJECT/.venv/bin/activate"
}

# ---- Below here nothing needs to be edited

[ -n "$SWEEP" ] || { echo "error: which sweep? qsub -v SWEEP=mine pbs_array.sh" >&2; exit 2; }
cd "$PROJECT" || exit 2
prepare

job="${PBS_JOBID%%.*}"
export RAY_TMPDIR="/tmp/os-$UID-${job//[^0-9]/-}"
mkdir -p -m 700 "$RAY_TMPDIR" || exit 2
trap 'rm -rf "$RAY_TMPDIR"' EXIT
export OMP_NUM_THREADS="${NCPUS:-1}"
unset RAY_ADDRESS

python run_sweep.py "$SWEEP" --shard "$PBS_ARRAY_INDEX/$SHARDS" --local --results "$RESULTS" &
run=$!
trap 'trap "" TERM; kill -TERM "$run"' TERM

while true; do
    wait "$run"
    status=$?
    { [ "$status" -gt 128 ] && kill -0 "$run" 2>/dev/null; } || break
done

# 143: stopped and saved. A task that PBS itself has ended at its limit cannot go back: submit the array again, only what is missing runs.
[ "$status" -ne 143 ] || qrerun "$PBS_JOBID" || echo "Saved. Go on: qsub -v SWEEP=$SWEEP pbs_array.sh"
exit "$status"
