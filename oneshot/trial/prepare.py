"""prepare: make what is missing of the inputs that all trials of a data set share.

Of bits, in this order, as one rests on the other: SimCLR, the exemplars (medoids in its space),
ProtoNet (whose support images they are), people's point. Of greys, the classifier. All sweeps of a
results folder share these. So each is made by one process at a time, and what is stored is never
replaced while it is whole.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from oneshot import data as datasets
from oneshot.critics.encoder import embed_all, held_out_rows
from oneshot.critics.importing import import_weights
from oneshot.data import digits
from oneshot.paths import DataError
from oneshot.scoring.plane import Critics, Human, grade
from oneshot.store import notes
from oneshot.store.store import DamagedFile, Store, sealed
from oneshot.sweep.point import CriticSpec, Point
from oneshot.sweep.point_maker import ALL_CLASSES
from oneshot.trial import own_critic, own_data
from oneshot.trial.exemplars import choose_exemplars, exemplars_key
from oneshot.trial.files import local_file
from oneshot.trial.images import load_greys, load_images
from oneshot.trial.inputs import (
    critic_checksums,
    images_beside,
    keys,
    people_drawings,
    read_critic,
    read_human,
    score_settings,
)
from oneshot.trial.once import Report, make_once
from oneshot.types import DataSet

TITLES = {
    "simclr": "SimCLR",
    "protonet": "ProtoNet",
    "classifier": "the classifier",
    "base_classifier": "the classifier of base classes",
}


def prepare(
    point: Point, store: Store, device: torch.device, report: Report = lambda *_: None
) -> None:
    """Compute what is missing of a point's inputs.

    Args:
        point: whose inputs.
        store: where they go.
        device: where critics are trained.
        report: is called with (what, done, total, losses) of training critics, and of waiting.

    Raises:
        DataError: images that the point needs are not to be had.
    """
    own_data.use(point, store)
    beside, size = images_beside(point), point.settings["image_size"]
    if "dataset" in beside:
        load_images(point, store)
    if "binarisation" in beside:
        load_greys(point, store)
    if "transfer" in beside or "classify" in beside:
        digits.load(1, size)
    # twice: critics that are made in the first pass can make people's stored point outdated
    for _ in range(2):
        maker = _InputMaker(point, store, device, report)
        for name in missing(point, store):  # in the order in which one rests on the other
            getattr(maker, name)


def missing(point: Point, store: Store) -> list[str]:
    """The inputs of a point that are not in the store, or not whole there.

    A critic is missing also where its quality is, which is written last. A damaged file is named in
    a warning.

    Args:
        point: whose inputs.
        store: where they are looked for.

    Returns:
        Names as in `keys`, in the order in which they are made.
    """
    quality_keys = {name: spec.quality_key for name, spec in point.critics.items()}
    names = []
    for name, key in keys(point).items():
        if name == "human":
            whole = _can_be_read(key, store, functools.partial(read_human, key, store, point))
        else:
            whole = is_whole(key, store) and (
                name not in quality_keys or is_whole(quality_keys[name], store)
            )
        if not whole:
            names.append(name)
    return names


def is_whole(key: str, store: Store) -> bool:
    """Whether there is an undamaged file; a damaged one is named in a warning.

    Args:
        key: of a sealed file, or of a JSON file with a checksum.
        store: the store.

    Returns:
        True if its checksum is right.
    """
    if key.endswith(".json"):
        return _can_be_read(key, store, lambda: notes.decode(store.read(key)))
    return _can_be_read(key, store, lambda: store.unseal(key))


def _can_be_read(key: str, store: Store, read: Callable[[], object]) -> bool:
    """Whether `read` returns; what it says of damage becomes a warning."""
    try:
        read()
    except FileNotFoundError:
        return False
    except (DamagedFile, ValueError, TypeError) as error:
        warnings.warn(f"{store.path(key)} is damaged ({error}); it is made again", stacklevel=4)
        return False
    return True


class _InputMaker:
    """The inputs of a point, each read from the store or made when it is first needed."""

    def __init__(self, point: Point, store: Store, device: torch.device, report: Report):
        self.point, self.store, self.device, self.report = point, store, device, report

    @functools.cached_property
    def data(self) -> DataSet:
        """The images; DataError if they have too few test classes for the critics."""
        data = load_images(self.point, self.store)
        ways = self.point.settings["ways"]
        if len(data.test) < ways:
            raise DataError(
                f"{data.name} has {len(data.test)} test classes in its split {data.split!r}:"
                f" recognizability needs {ways}\n  help: drawings_per_class = 0 scores"
                " likelihoods alone"
            )
        return data

    @functools.cached_property
    def chooser(self) -> nn.Module:
        """The SimCLR in whose space exemplars are medoids."""
        return self._critic(self.point.critics["chooser"], lambda: None)

    @functools.cached_property
    def simclr(self) -> nn.Module:
        """The critic of diversity and originality."""
        if self.point.critics["simclr"] == self.point.critics["chooser"]:
            return self.chooser
        return self._critic(self.point.critics["simclr"], lambda: None)

    @functools.cached_property
    def protonet(self) -> nn.Module:
        """The critic of recognizability."""
        return self._critic(self.point.critics["protonet"], self._supports)

    @functools.cached_property
    def classifier(self) -> nn.Module:
        """The classifier of greys, which learns from all classes, also from one left out here."""
        spec, settings = self.point.critics["classifier"], self.point.settings

        def images() -> DataSet:
            return datasets.load(settings["dataset"], ALL_CLASSES, settings["image_size"])

        return read_or_make_critic(spec, images, lambda: None, self.store, self.device, self.report)

    @functools.cached_property
    def base_classifier(self) -> nn.Module:
        """The classifier that learns the base classes of the point's own split."""
        spec, point, store = self.point.critics["base_classifier"], self.point, self.store
        return read_or_make_critic(
            spec, lambda: load_images(point, store), lambda: None, store, self.device, self.report
        )

    @functools.cached_property
    def exemplars(self) -> np.ndarray:
        """The exemplars of the kind that the point has."""
        return self._exemplars(self.point.settings["exemplar"])

    @functools.cached_property
    def human(self) -> Human:
        """People's point."""
        point, store = self.point, self.store
        key = keys(point)["human"]

        def make() -> None:
            critics = Critics(self.simclr, self.protonet, self.device)
            drawings = people_drawings(point, self.data, self.exemplars, store)
            human = grade(drawings, critics, **score_settings(point)).human
            scored_by = {"critics": critic_checksums(point, store)}
            store.create(key, notes.encode({**dataclasses.asdict(human), **scored_by}))

        read = functools.partial(read_human, key, store, point)
        folder = key.removesuffix(".json")
        return make_once("people", key, folder, read, make, store, self.report)

    @functools.cached_property
    def features(self) -> np.ndarray:
        """The features of people's drawings, then those of training drawings, [N + M, D]."""
        point, store, key = self.point, self.store, keys(self.point)["features"]

        def make() -> None:
            people = people_drawings(point, self.data, self.exemplars, store).images
            classes = np.sort(np.concatenate([self.data.train, self.data.validation]))
            train = self.data.images[held_out_rows(self.data, classes)]
            parts = [embed_all(self.simclr, images, self.device) for images in (people, train)]
            buffer = io.BytesIO()
            np.save(buffer, np.concatenate(parts))
            _seal_once(store, key, buffer.getvalue())

        def read() -> np.ndarray:
            features: np.ndarray = np.load(io.BytesIO(store.unseal(key)), allow_pickle=False)
            return features

        name, folder = "the features of people's drawings", key.removesuffix(".npy")
        return make_once(name, key, folder, read, make, store, self.report)

    def _critic(self, spec: CriticSpec, exemplars: Callable[[], np.ndarray | None]) -> nn.Module:
        return read_or_make_critic(
            spec, lambda: self.data, exemplars, self.store, self.device, self.report
        )

    def _exemplars(self, kind: str) -> np.ndarray:
        """The exemplars of a kind; medoids are stored once for all that rests on them."""
        store, key = self.store, exemplars_key(self.point, kind)

        def make() -> None:
            simclr = self.chooser if kind == "medoid" else None
            buffer = io.BytesIO()
            np.save(buffer, choose_exemplars(self.data, kind, simclr, self.point.seed, self.device))
            _seal_once(store, key, buffer.getvalue())

        def read() -> np.ndarray:
            chosen: np.ndarray = np.load(io.BytesIO(store.unseal(key)), allow_pickle=False)
            return chosen

        folder = key.removesuffix(".npy")
        return make_once("exemplars", key, folder, read, make, store, self.report)

    def _supports(self) -> np.ndarray:
        """The support images of ProtoNet: the medoids.

        An imported ProtoNet is not trained, so where no model needs all medoids, those of the test
        classes are enough to measure its quality.
        """
        imported = bool(self.point.critics["protonet"].settings.get("weights"))
        if (
            imported
            and self.point.settings["exemplar"] != "medoid"
            and not is_whole(exemplars_key(self.point, "medoid"), self.store)
        ):
            test = self.data.test
            return choose_exemplars(self.data, "medoid", self.chooser, 0, self.device, test)
        return self._exemplars("medoid")


def read_or_make_critic(
    spec: CriticSpec,
    data: Callable[[], DataSet],
    exemplars: Callable[[], np.ndarray | None],
    store: Store,
    device: torch.device,
    report: Report,
) -> nn.Module:
    """A critic from the store, else imported from its published file, else trained.

    A new one is stored with its quality. Weights are written before their quality: where a process
    died between the two, the quality is computed from the stored weights, without the curve of the
    training.

    Args:
        spec: which critic, and its settings.
        data: gives the images, when they are needed.
        exemplars: gives the support images of ProtoNet, int64 [classes], when they are needed.
        store: where it is read and written.
        device: where it is trained.
        report: is called with (kind, epoch, epochs, losses) after each epoch, and of waiting.

    Returns:
        The network, in evaluation mode.
    """
    family = own_critic.family_of(spec, store)
    config = family.Config(**spec.settings)
    folder, title = f"store/critics/{spec.id}", TITLES.get(spec.kind, spec.kind)

    def read() -> nn.Module:
        store.unseal(spec.weights_key)  # a node's own copy may be whole where this is not
        return read_critic(spec, data().image_size, store, device)

    def make() -> None:
        images, supports = data(), exemplars()
        if spec.settings.get("weights"):
            module = import_weights(
                local_file(config.weights, spec.file_hash, store), spec.kind, images.image_size
            ).to(device)
            quality, curve = family.quality(module, images, supports, spec.seed, device), []
        else:
            module, quality, curve = family.train(
                config, images, supports, spec.seed, device, report_epoch
            )
        buffer = io.BytesIO()
        torch.save(module.state_dict(), buffer)
        if _seal_once(store, spec.weights_key, buffer.getvalue()):
            store_quality(quality, curve)

    def report_epoch(epoch: int, losses: dict[str, Any]) -> None:
        report(spec.kind, epoch, config.epochs, losses)

    def store_quality(quality: dict[str, Any], curve: list[dict[str, Any]]) -> None:
        images = data()
        about: dict[str, Any] = dict(critic=spec.kind, critic_id=spec.id)
        about |= dict(dataset=images.name, split=images.split, image_size=images.image_size)
        values = {**about, **quality, "settings": spec.settings, "curve": curve}
        store.create(spec.quality_key, notes.encode(values))

    module = make_once(title, spec.weights_key, folder, read, make, store, report)

    def read_quality() -> dict[str, Any]:
        return notes.decode(store.read(spec.quality_key))

    def make_quality() -> None:
        store_quality(family.quality(module, data(), exemplars(), spec.seed, device), [])

    name = f"the quality of {title}"
    make_once(name, spec.quality_key, folder, read_quality, make_quality, store, report)
    return module


def _seal_once(store: Store, key: str, data: bytes) -> bool:
    """Write a sealed file unless there is one; whether it was written."""
    return store.create(key, sealed(data))
