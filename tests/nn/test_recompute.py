"""Activations computed again: the same losses, gradients and running statistics, with less kept."""

from __future__ import annotations

import torch

from oneshot.contracts import Sets
from oneshot.models.set_vae import VARIANTS, Config, SetVae
from oneshot.nn.set_shapes import recomputes
from oneshot.training.stack import Stack


def model(recompute: bool) -> SetVae:
    torch.manual_seed(0)
    one = SetVae(
        Config(
            **{**VARIANTS["ns_50"], **dict(set_size=3, batch_size=4, channels=8, hidden=16, c=8)}
        ),
        50,
    )
    one.encoder.recompute = one.decoder.recompute = recompute
    return one


def test_a_training_that_recomputes_is_the_one_that_does_not() -> None:
    x, hyper = (
        (torch.rand(4, 3, 1, 50, 50) > 0.9).float(),
        {
            "weight": torch.tensor([1.5]),
            "beta": torch.tensor([2.0]),
        },
    )
    plain, again = (Stack([model(recompute)], torch.device("cpu")) for recompute in (False, True))
    for step in range(3):
        noise = torch.randn(4, *plain.template.noise_shape)
        one, other = (stack.train_step(Sets(x), noise, hyper, (0,)) for stack in (plain, again))
        torch.testing.assert_close(one["loss"], other["loss"], rtol=1e-4, atol=0)
        # later, biases that a normalisation cancels have moved by the sign of their rounding errors
        if step == 0:
            gradient, again_gradient = (stack.players[0].adam.first for stack in (plain, again))
            assert (
                gradient - again_gradient
            ).norm() < 1e-4 * gradient.norm() and gradient.norm() > 0
            torch.testing.assert_close(
                gradient, again_gradient, rtol=0, atol=1e-2 * float(gradient.abs().max())
            )
            for name, buffer in plain.buffers.items():
                if not name.endswith("num_batches_tracked"):
                    torch.testing.assert_close(
                        buffer, again.buffers[name], rtol=1e-5, atol=1e-6, msg=name
                    )


def test_it_keeps_a_fraction() -> None:
    def kept(one: SetVae) -> int:
        storages = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        x = torch.rand(4, 3, 1, 50, 50)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            losses = one.players()[0].loss(Sets(x), torch.zeros(4, *one.noise_shape), one.hyper(0))
        assert losses["loss"].requires_grad
        weights = {p.untyped_storage().data_ptr() for p in one.parameters()}
        return sum(size for place, size in storages.items() if place not in weights)

    assert kept(model(True)) < 0.3 * kept(model(False))


def test_large_sets_recompute_and_say_why_they_do_not_stack() -> None:
    small, large = (Config(**{**VARIANTS["ns_50"], "set_size": size}) for size in (5, 20))
    assert not recomputes(small, 50) and recomputes(large, 50)
    assert "vmap" in SetVae(large, 50).cannot_stack and not SetVae(small, 50).cannot_stack
