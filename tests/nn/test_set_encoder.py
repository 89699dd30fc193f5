"""The encoder of exemplars: the published numbers of parameters, and sets without an order."""

from __future__ import annotations

import torch

from oneshot.nn.set_encoder import SetEncoder, leave_one_out

SIZE = 16


def count(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_the_encoder_has_the_published_parameters_but_for_the_token_of_time() -> None:
    time_token = 256 * 256 + 256 + 256  # its projection and its place
    assert count(SetEncoder(28, 7, 256, 6, 12)) == 5_665_536 - time_token
    assert count(SetEncoder(48, 8, 256, 6, 12)) == 5_674_496 - time_token


def test_the_order_of_exemplars_does_not_matter_and_each_of_them_does() -> None:
    torch.manual_seed(0)
    encoder = SetEncoder(SIZE, 5, 16, 2, 2).eval()  # 16 is no multiple of 5
    images = (torch.rand(2, 3, 1, SIZE, SIZE) > 0.7).float()
    vector, tokens = encoder(images)
    turned = encoder(images[:, [2, 0, 1]])
    assert vector.shape == (2, 16) and tokens.shape == (2, 16, 16)
    torch.testing.assert_close(turned, (vector, tokens), atol=1e-5, rtol=1e-4)
    changed = images.clone()
    changed[0, 1] = 1 - changed[0, 1]
    assert not torch.allclose(encoder(changed)[0][0], vector[0], atol=1e-4)
    torch.testing.assert_close(encoder(changed)[0][1], vector[1])


def test_each_image_of_a_set_has_the_others_as_its_exemplars() -> None:
    others = leave_one_out(torch.arange(8).view(2, 4))
    assert others[1].tolist() == [[5, 6, 7], [4, 6, 7], [4, 5, 7], [4, 5, 6]]
