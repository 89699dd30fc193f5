#!/bin/bash
# A sweep on one allocation of Slurm, of one node or several. Copy this file, edit what says YOUR-..., and then:
#
#   python run_sweep.py --check-cluster slurm.sh
#   sbatch slurm.sh SWEEP [options of run_sweep.py]
#
# Ahead of the time limit all trainings save a checkpoint, and the job puts itself back into the queue, until the sweep is done.
# Where single GPUs are handed out sooner than whole nodes, take slurm_array.sh.

#SBATCH --job-name=oneshot
#SBATCH --partition=YOUR-PARTITION
# Nodes. More than one needs --exclusive: Ray's tools take a Ray of somebody else on a node for their own. One node may be shared: take
# --exclusive and --mem=0 out, and say what you need, as --cpus-per-task=8 --mem=32G.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --mem=0
# GPUs of each node, in GPU partitions.
##SBATCH --gpus-per-node=4
#SBATCH --time=04:00:00
# Seconds before the time limit, to the batch script alone (B:). Trainings have 30 seconds to save; Slurm may be a minute late.
#SBATCH --signal=B:TERM@180
# Slurm may put the job back as well: after preemption, or where a node failed. The log goes on in the same file.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

# The folder of the project, and of the results; all nodes must see both under these paths. s3:// and the like go as well.
PROJECT=/YOUR/SHARED/FOLDER/oneshot
RESULTS=/YOUR/SHARED/FOLDER/results

# What each node needs before Python starts.
prepare() {
    # module load python/3.11 cuda
    . "$PROJECT/.venv/bin/activate"
}

# A container in place of the line that activates .venv; its paths must be those of the nodes.
CONTAINER=
# CONTAINER="apptainer exec --nv --bind /YOUR/SHARED/FOLDER /YOUR/SHARED/FOLDER/oneshot.sif"

# How often the job goes back into the queue at most, so that one that never gets on ends.
MOST_RESTARTS=100

# ---- Below here nothing needs to be edited

[ $# -gt 0 ] || { echo "error: which sweep? sbatch slurm.sh SWEEP" >&2; exit 2; }
cd "$PROJECT" || exit 2
prepare

# Of this job alone, on each node. It is short: a socket's path has at most 107 bytes, and Ray takes 64 of them below this folder.
export RAY_TMPDIR="/tmp/os-$UID-$SLURM_JOB_ID"
mkdir -p -m 700 "$RAY_TMPDIR" || exit 2
trap 'rm -rf "$RAY_TMPDIR"' EXIT
export PROJECT CONTAINER RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
unset RAY_ADDRESS

# Runs on every node of several. Ports are asked from the system, so that no other Ray of these nodes has them.
on_each_node() {
    mkdir -p -m 700 "$RAY_TMPDIR"
    cd "$PROJECT" || return 2
    prepare
    more=--dashboard-agent-listen-port=0
    if [ "$SLURM_NODEID" -eq 0 ]; then
        more="$more --include-dashboard=false --ray-client-server-port=$CLIENT_PORT"
    fi
    $CONTAINER ray symmetric-run --address "$HEAD" --min-nodes "$SLURM_JOB_NUM_NODES" \
        --num-cpus "$SLURM_CPUS_ON_NODE" $more \
        -- bash -c 'echo $$ >"$RAY_TMPDIR/driver.pid"; exec "$@"' driver "$@"
    status=$?
    # The driver's status counts; srun tells the highest of all nodes. Without a driver the other nodes would wait for a minute.
    if [ "$SLURM_NODEID" -eq 0 ]; then
        echo "$status" >"$RAY_TMPDIR/status"
        scancel --signal=KILL "$SLURM_JOB_ID.$SLURM_STEP_ID"
    fi
    return "$status"
}
export -f prepare on_each_node

if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    last=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | tail -n 1)
    way=$(scontrol show node "$last" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
    # The address of this node as the others reach it, two free ports, and a secret that keeps others out of this Ray.
    set_up=$($CONTAINER python - "${way:-$last}" <<'PYTHON'
import secrets, socket, sys

way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
way.connect((sys.argv[1], 9))
free = [socket.socket() for _ in range(2)]
for one in free:
    one.bind(("", 0))
ports = [one.getsockname()[1] for one in free]
print(f"HEAD={way.getsockname()[0]}:{ports[0]} CLIENT_PORT={ports[1]} RAY_AUTH_TOKEN={secrets.token_hex(32)}")
PYTHON
    ) || exit 2
    export RAY_AUTH_MODE=token $set_up
    srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpu-bind=none --kill-on-bad-exit=0 \
        bash -c 'on_each_node "$@"' node python run_sweep.py "$@" --results "$RESULTS" --address "$HEAD" &
else
    $CONTAINER python run_sweep.py "$@" --results "$RESULTS" &
    echo $! >"$RAY_TMPDIR/driver.pid"
fi
run=$!

# The driver alone is told to stop: Ray's processes must live until the trainings have saved.
stopping=
stop() {
    trap '' TERM
    stopping=yes
    driver=$(cat "$RAY_TMPDIR/driver.pid" 2>/dev/null)
    kill -TERM "${driver:-$run}"
}
trap stop TERM

while true; do
    wait "$run"
    status=$?
    # A signal interrupts `wait`; the run goes on.
    { [ "$status" -gt 128 ] && kill -0 "$run" 2>/dev/null; } || break
done
if [ -s "$RAY_TMPDIR/status" ]; then
    status=$(cat "$RAY_TMPDIR/status")
    srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 rm -rf "$RAY_TMPDIR"
fi

# 143: stopped and saved; or more than 128 where it was killed while it stopped. The job may also have been cancelled: then its state is
# not RUNNING, and it stays out of the queue.
if [ "$stopping" ] && [ "$status" -gt 128 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$MOST_RESTARTS" ]; then
    if scontrol show job --oneliner "$SLURM_JOB_ID" | grep -q "JobState=RUNNING"; then
        echo "Saved; back into the queue."
        scontrol requeue "$SLURM_JOB_ID" && exit 0
    fi
fi
exit "$status"
