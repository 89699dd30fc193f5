# The command `oneshot` in an image, for processors or for NVIDIA GPUs:
#
#   docker build --target cpu -t oneshot .
#   docker build --target gpu -t oneshot:gpu .
#   docker run --rm --user "$(id -u):$(id -g)" --shm-size 2g -v "$PWD:/work" oneshot run quickstart
#
# Sweeps and results are in the folder that is mounted as /work. The stage gpu takes the build of PyTorch that brings CUDA;
# the machine needs NVIDIA's driver and container toolkit, and `docker run --gpus all`.

FROM python:3.11-slim AS wheel
WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE ./
COPY oneshot oneshot
COPY sweeps sweeps
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    ONESHOT_CACHE=/tmp/oneshot
COPY constraints.txt /opt/oneshot/
WORKDIR /work
ENTRYPOINT ["oneshot"]
CMD ["--help"]

FROM base AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir -c /opt/oneshot/constraints.txt \
    "$(find /wheels -name '*.whl')[cluster]" \
    && useradd --create-home --uid 1000 oneshot
USER 1000

FROM base AS cpu
# The index of PyTorch's builds for processors, as PyTorch's site names it. Without it the image has CUDA too, and is larger.
ARG TORCH_INDEX=""
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir -c /opt/oneshot/constraints.txt \
    ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && python -m pip install --no-cache-dir -c /opt/oneshot/constraints.txt \
    "$(find /wheels -name '*.whl')[cluster]" \
    && useradd --create-home --uid 1000 oneshot
USER 1000
