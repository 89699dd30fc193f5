"""Memory of one training step of the 50x50 Neural Statistician on sets of 20 in batches of 100,
2,000 images: of the whole process.

`python benchmarks/set_memory.py` takes a few minutes on two cores. --plain keeps all activations:
about 10 GB, an estimate.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from oneshot.contracts import Sets
from oneshot.models.set_vae import VARIANTS, Config, SetVae
from oneshot.training.stack import Stack

SIZE = 50


def peak() -> float:
    """Most main memory that this process has held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--set-size", type=int, default=20)
    p.add_argument("--batch-size", type=int, default=100)
    p.add_argument("--plain", action="store_true", help="do not recompute activations")
    args = p.parse_args()
    config = Config(
        **{**VARIANTS["ns_50"], "set_size": args.set_size, "batch_size": args.batch_size}
    )
    model = SetVae(config, SIZE)
    if args.plain:
        model.encoder.recompute = model.decoder.recompute = False
    stack = Stack([model], torch.device("cpu"))
    images = (torch.rand(args.batch_size, args.set_size, 1, SIZE, SIZE) > 0.92).float()
    hyper = {name: torch.tensor([value]) for name, value in model.hyper(0).items()}
    before = peak()
    for _ in range(2):
        begun = time.monotonic()
        stack.train_step(
            Sets(images), torch.randn(args.batch_size, *model.noise_shape), hyper, (0,)
        )
        print(
            f"{args.batch_size * args.set_size} images: {time.monotonic() - begun:.0f} s,"
            f" {peak():.2f} GiB at most, {before:.2f} before"
        )


if __name__ == "__main__":
    main()
