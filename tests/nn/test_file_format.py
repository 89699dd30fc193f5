"""How published files are read: layouts, names, layers recognised by order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from oneshot.nn.published.dagan import _joined
from oneshot.nn.published.file_format import NamedFormat, OrderedFormat, OwnNames
from oneshot.nn.published.layout import Layout
from oneshot.nn.state_file import StateFileError


def test_a_turned_kernel_makes_a_convolution_what_the_transposed_one_was() -> None:
    published, x = torch.randn(3, 2, 3, 3), torch.randn(1, 3, 6, 6)
    ours = Layout(turned=True).to_ours(published)
    torch.testing.assert_close(
        conv2d(x, ours, padding=1), conv_transpose2d(x, published, padding=1)
    )


def test_a_kernel_of_one_pixel_is_a_product() -> None:
    published, x = torch.randn(2, 3, 1, 1), torch.randn(1, 3, 4, 4)
    ours = Layout(kernel=True).to_ours(published)
    torch.testing.assert_close(torch.einsum("oi,bihw->bohw", ours, x), conv2d(x, published))


@pytest.mark.parametrize(
    "layout",
    [
        Layout(),
        Layout(rows=(2, 0, 1, 3)),
        Layout(columns=(1, 2, 3, 4, 0)),
        Layout(rows=(3, 2, 0, 1), columns=(4, 2, 1, 0, 3), turned=True),
    ],
)
def test_published_and_ours_are_inverse(layout: Layout) -> None:
    ours = torch.randn(4, 5, 3, 3)
    published = layout.to_published(ours)
    assert torch.equal(layout.to_ours(published), ours)
    assert published.shape == layout.to_published(ours.to("meta")).shape


def test_rows_say_where_ours_are_in_the_published_tensor() -> None:
    assert Layout(rows=(2, 0, 1)).to_ours(torch.tensor([5.0, 6.0, 7.0])).tolist() == [7, 5, 6]


@pytest.mark.parametrize("carry", [0, 4])
def test_a_convolution_of_joined_maps_is_that_of_the_published_order(carry: int) -> None:
    torch.manual_seed(0)
    x, skip, noise = (torch.randn(1, n, 5, 5) for n in (3, 2, 1))
    outputs = [torch.randn(1, 6, 5, 5) for _ in range(2)]
    carried = [torch.randn(1, carry, 5, 5)] if carry else []
    theirs = torch.cat([outputs[1], *carried, noise, x, skip, outputs[0]], 1)
    mine = torch.cat([x, skip, noise, *outputs, *carried], 1)
    kernel = torch.randn(6, theirs.shape[1], 3, 3)
    layout = _joined({"x": 3, "skip": 2, "noise": 1}, 6, 2, carry)
    torch.testing.assert_close(
        conv2d(mine, layout.to_ours(kernel), padding=1), conv2d(theirs, kernel, padding=1)
    )


OWN = {
    "first.weight": torch.zeros(2, 3),
    "first.bias": torch.zeros(2),
    "norm.weight": torch.zeros(2),
    "norm.num_batches_tracked": torch.tensor(0),
    "z.weight": torch.zeros(2, 3),
    "z.bias": torch.zeros(2),
}
THEIRS = {
    "q.0.weight": torch.full((2, 3), 3.0),
    "q.0.bias": torch.full((2,), 3.0),
    "bn.weight": torch.full((2,), 2.0),
    "fc.weight": torch.full((2, 3), 1.0),
    "fc.bias": torch.full((2,), 1.0),
}
BY_ORDER = OrderedFormat(title="a toy", within={"z.": "q."}, unused="dead")


def saved(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    torch.save(state, folder / "x.pt")
    return folder / "x.pt"


def test_layers_are_recognised_by_shape_order_and_known_modules(tmp_path: Path) -> None:
    path = saved(tmp_path, {**THEIRS, "dead.weight": torch.ones(9)})
    state = BY_ORDER.read(path, OWN)
    values = {name: t.flatten()[0].item() for name, t in state.items()}
    assert values == {
        "first.weight": 1,
        "first.bias": 1,
        "norm.weight": 2,
        "norm.num_batches_tracked": 0,
        "z.weight": 3,
        "z.bias": 3,
    }


def test_layers_that_are_not_there_or_too_many_are_named(tmp_path: Path) -> None:
    less = {name: t for name, t in THEIRS.items() if not name.startswith("q.")}
    with pytest.raises(
        StateFileError,
        match=(
            r"x\.pt is not a file of a toy: missing a layer in q\. with weight \[2, 3\], bias \[2\]"
            r" \(our z\); left are none"
        ),
    ):
        BY_ORDER.read(saved(tmp_path, less), OWN)
    # a layer elsewhere is not taken for one of a known module
    with pytest.raises(StateFileError, match=r"\(our z\); left are fc2: weight \[2, 3\]"):
        moved = {**less, "fc2.weight": torch.ones(2, 3), "fc2.bias": torch.ones(2)}
        BY_ORDER.read(saved(tmp_path, moved), OWN)
    with pytest.raises(StateFileError, match=r"missing nothing; unexpected more\.weight"):
        BY_ORDER.read(saved(tmp_path, {**THEIRS, "more.weight": torch.ones(4)}), OWN)


def test_names_are_rewritten_by_the_first_rule_that_fits(tmp_path: Path) -> None:
    form = NamedFormat(
        title="a toy",
        rules=(("first", "fc"), ("norm", "bn"), (r"z\.", "q.0.")),
        prefixes=("module.",),
    )
    wrapped = {f"module.{name}": t for name, t in THEIRS.items()}
    for state in (THEIRS, wrapped):
        assert form.read(saved(tmp_path, state), OWN)["z.bias"].tolist() == [3, 3]
    with pytest.raises(StateFileError, match=r"missing fc\.bias; unexpected cf\.bias"):
        broken = {n.replace("fc.b", "cf.b"): t for n, t in THEIRS.items()}
        form.read(saved(tmp_path, broken), OWN)
    with pytest.raises(KeyError, match="no rule for other"):
        form.published_name("other.weight")


@pytest.mark.parametrize("form", [BY_ORDER, OwnNames(title="a toy")])
def test_a_file_may_have_our_names(form: OrderedFormat | OwnNames, tmp_path: Path) -> None:
    path = saved(tmp_path, {n: t + 5 for n, t in OWN.items() if "num_batches" not in n})
    state = form.read(path, OWN)
    assert state.keys() == OWN.keys() and state["z.bias"].tolist() == [5, 5]
