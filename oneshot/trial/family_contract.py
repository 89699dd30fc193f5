"""Whether a trained family keeps the rules of `oneshot/contracts`, said in words.

`python -m oneshot check family FILE` calls `findings`; the tests of this package hold its own
families to the same rules by the same functions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oneshot.contracts import Losses, Player, TrainedFamily
from oneshot.training.stack import Stack, by_vmap
from oneshot.trial.made_batch import asked, batch, item_shape, part
from oneshot.trial.own_family import FamilyError, told
from oneshot.types import Kind

ITEMS = 5  # of the batch that losses are asked of
SIZES = (28, 48, 50)  # of the images of published data sets, in pixels
SIZE = 20  # of the images of all other checks


Make = Callable[[int, int], TrainedFamily]


@dataclass(frozen=True)
class Tried:
    """A family that is held to the rules.

    Args:
        make: (seed, image_size) -> an instance with random weights.
        kind: of the data that it models.
        path: of its file, for messages.
        varied: by the name of each train-stage setting in which members of a stack may differ: as
            `make`, with another value of it.
    """

    make: Make
    kind: Kind
    path: str
    varied: Mapping[str, Make] = field(default_factory=dict)


Check = Callable[[Tried], Iterator[str]]


def findings(tried: Tried) -> list[str]:
    """All rules that a family breaks, in words; [] if it keeps them.

    Args:
        tried: the family.

    Returns:
        A message for each.
    """
    found: list[str] = []
    for title, check in CHECKS.items():
        try:
            found += check(tried)
        except FamilyError as error:
            found.append(str(error))
        except Exception as error:
            found.append(f"{title} raises an error. {told(error, tried.path)}")
        if found and title in FIRST:
            break  # what follows would say the same again
    return list(dict.fromkeys(found))


def losses(tried: Tried) -> Iterator[str]:
    """What is wrong with the losses of a family, and with their gradients.

    Args:
        tried: the family.

    Yields:
        A message for each rule that it breaks.
    """
    model = tried.make(0, SIZE).eval()
    items, noise = batch(model, tried.kind)
    yield from _owners(model)
    for player in model.players():
        given = player.loss(items, noise, model.hyper(0))
        if wrong := list(_shapes(player, given)):
            yield from wrong
            continue
        again = player.loss(items, noise, model.hyper(0))["loss"]
        one = player.loss(part(items, slice(2, 3)), noise[2:3], model.hyper(0))
        apart = not torch.allclose(one["loss"], again[2:3], rtol=1e-4, atol=1e-4)
        if apart and torch.equal(again, given["loss"]):  # else it has a hidden state, told later
            yield (
                f"the loss of {player.name} for an example depends on the other examples of the"
                " batch, also in evaluation mode: sum over the dimensions behind the first alone"
            )
        model.train()
        player.loss(items, noise, model.hyper(0))["loss"].mean().backward()
        model.eval()
        yield from _gradients(model, player)


def _owners(model: TrainedFamily) -> Iterator[str]:
    """Parameters that no player moves, or two do."""
    moved = [id(p) for player in model.players() for p in player.parameters()]
    for name, parameter in model.named_parameters():
        if id(parameter) not in moved:
            yield (
                f"no player moves the parameter {name}: name it in the parameters of a Player, or"
                " make it a buffer"
            )
        elif moved.count(id(parameter)) > 1:
            yield f"the parameter {name} is moved by two players: each belongs to one"


def _shapes(player: Player, given: Losses) -> Iterator[str]:
    """Losses that are not one finite number for each example."""
    if "loss" not in given:
        yield (
            f"the losses of {player.name} are {', '.join(given) or 'empty'}; one of them must be"
            ' "loss", which is minimised'
        )
    for name, value in given.items():
        if not isinstance(value, Tensor) or value.ndim == 0:
            yield (
                f"{name} is one number for the batch; one per example was expected: sum over the"
                " last dimension only"
            )
        elif value.shape != (ITEMS,):
            yield (
                f"{name} has the shape {tuple(value.shape)} for a batch of {ITEMS}; one number per"
                f" example was expected, ({ITEMS},): sum over all dimensions but the first"
            )
        elif not torch.isfinite(value).all():
            yield f"{name} is infinite or no number in a model that was not trained yet"


def _gradients(model: TrainedFamily, player: Player) -> Iterator[str]:
    """Parameters of a player that its loss does not move."""
    own = {id(p) for p in player.parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) not in own:
            continue
        if parameter.grad is None:
            yield (
                f"the loss of {player.name} does not depend on the parameter {name}, which would"
                " never move: leave it out, or use it"
            )
        elif not torch.isfinite(parameter.grad).all():
            yield f"the gradient of {name} is infinite or no number"


def samples(tried: Tried) -> Iterator[str]:
    """What is wrong with the drawings of a family.

    Args:
        tried: the family.

    Yields:
        A message for each rule that it breaks.
    """
    model = tried.make(0, SIZE).eval()
    with torch.no_grad():
        images = model.sample(
            asked(model, tried.kind), torch.randn(ITEMS, *model.drawing_noise_shape)
        )
    wanted = (ITEMS, *item_shape(model, tried.kind))
    if images.shape != wanted:
        yield f"sample gives the shape {tuple(images.shape)}; {wanted} was expected"
    elif not torch.isfinite(images).all():
        yield "sample gives values that are infinite or no numbers"
    elif tried.kind != Kind.POINTS and (images.min() < 0 or images.max() > 1):
        yield (
            f"sample gives values from {float(images.min()):.2g} to {float(images.max()):.2g};"
            " 0 to 1 was expected: end with torch.sigmoid"
        )


def sizes(tried: Tried) -> Iterator[str]:
    """At which published sizes of images a family does not learn or draw.

    A Config that rules a size out says so in `problems`.

    Args:
        tried: the family.

    Yields:
        A message for each size.
    """
    for size in SIZES:
        model = tried.make(0, size)
        if hasattr(model.config, "problems") and model.config.problems(size, 1, 20):
            continue
        items, noise = batch(model, tried.kind, 3)
        try:
            for player in model.players():
                if not torch.isfinite(player.loss(items, noise, model.hyper(0))["loss"]).all():
                    yield f"image_size={size}: the loss is infinite or no number"
            given = asked(model, tried.kind, 2)
            drawn = model.eval().sample(given, torch.randn(2, *model.drawing_noise_shape))
            if drawn.shape[1:] != item_shape(model, tried.kind):
                yield f"image_size={size}: sample gives the shape {tuple(drawn.shape)}"
        except Exception as error:
            yield f"image_size={size}: {told(error, tried.path)}"


def hidden_state(tried: Tried) -> Iterator[str]:
    """Whether losses or drawings rest on anything but arguments, parameters and buffers.

    Args:
        tried: the family.

    Yields:
        A message for each rule that it breaks.
    """
    model = tried.make(0, SIZE)
    items, noise = batch(model, tried.kind)
    drawing = asked(model, tried.kind), torch.ones(ITEMS, *model.drawing_noise_shape)
    for training in (False, True):
        model.train(training)
        # buffers may follow the batches in training
        kept = dict(model.named_parameters()) if training else model.state_dict()
        before = {name: value.clone() for name, value in kept.items()}
        buffers = {name: value.clone() for name, value in model.named_buffers()}
        state = torch.random.get_rng_state()
        first = [p.loss(items, noise, model.hyper(0))["loss"] for p in model.players()]
        model.eval().sample(*drawing)
        drew = not torch.equal(state, torch.random.get_rng_state())
        model.train(training)
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
        second = [p.loss(items, noise, model.hyper(0))["loss"] for p in model.players()]
        if drew:
            yield (
                "it draws random numbers of its own (torch.randn, rand_like, dropout ...): use the"
                " argument noise, whose shape noise_shape says"
            )
        elif not all(torch.equal(a, b) for a, b in zip(first, second)):
            yield "the same batch gives another loss the second time: it keeps something between"
        for name, value in before.items():
            if not torch.equal(kept[name], value):
                when = "a loss or a drawing" if training else "a pass in evaluation mode"
                yield f"{when} changes {name}: training alone moves parameters"


def stacking(tried: Tried) -> Iterator[str]:
    """Whether K models of a family at once give the losses of each, without a slow fallback.

    Args:
        tried: the family.

    Yields:
        A message for each rule that it breaks.
    """
    models = [tried.make(seed, SIZE) for seed in (0, 1, 2)]
    if reason := models[0].cannot_stack:
        if len(reason) <= 20:
            yield f"cannot_stack = {reason!r}: say why, in a sentence"
        return
    items, noise = batch(models[0], tried.kind)
    hyper = {
        name: torch.tensor([value, value + 0.5, value + 1])
        for name, value in models[0].hyper(0).items()
    }
    stack = Stack(models, torch.device("cpu"))
    for turn, side in enumerate(stack.players):
        weights = {n: w for s in stack.players for n, w in s.weights().items()}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                everything = {**weights, **stack.buffers}
                ways = [by_vmap(stack.template, turn, everything, items, noise, hyper)]
                if side.player.stacked:
                    ways.append(side.player.stacked(weights, items, noise, hyper))
        except Exception as error:
            yield (
                f"models cannot train as one stack, by torch.vmap: {told(error, tried.path)}. Leave"
                " out what depends on the values of tensors (if, item, float), or say why in"
                " cannot_stack, and each trains alone"
            )
            return
        for k, model in enumerate(models):
            values = {name: float(value[k]) for name, value in hyper.items()}
            own = model.players()[turn].loss(items, noise, values)
            for together in ways:
                same = torch.allclose(together["loss"][k], own["loss"], rtol=1e-4, atol=1e-4)
                if set(together) != set(own) or not same:
                    yield (
                        f"the losses of {side.player.name} in a stack are not those of the model"
                        " alone: settings of the loss must come from the argument hyper, and"
                        " from self.config only those that are the same in a stack"
                    )
                    return


def settings_of_loss(tried: Tried) -> Iterator[str]:
    """Settings that the loss reads from the Config, though members of a stack differ in them.

    Args:
        tried: the family.

    Yields:
        A message for each setting.
    """
    model = tried.make(0, SIZE).eval()
    if model.cannot_stack:
        return
    items, noise = batch(model, tried.kind)
    own = [p.loss(items, noise, model.hyper(0))["loss"] for p in model.players()]
    for name, make in tried.varied.items():
        other = make(0, SIZE).eval()
        others = {**dict(other.named_parameters()), **dict(other.named_buffers())}
        with torch.no_grad():  # each member of a stack has its own
            for n, value in [*model.named_parameters(), *model.named_buffers()]:
                others[n].copy_(value)
        its = [p.loss(items, noise, model.hyper(0))["loss"] for p in other.players()]
        if not all(torch.equal(a, b) for a, b in zip(own, its)):
            yield (
                f"the loss depends on {name} of the Config: members of a stack differ in it, and"
                f' have one Config. Return it from hyper() and read hyper["{name}"], or declare it'
                " with shapes=True"
            )


CHECKS: dict[str, Check] = {
    "the loss": losses,
    "sample": samples,
    "the loss, asked twice,": hidden_state,
    "a stack": stacking,
    "the loss with other settings": settings_of_loss,
    "another image size": sizes,
}
FIRST = ("the loss", "sample")  # what all other checks rest on
