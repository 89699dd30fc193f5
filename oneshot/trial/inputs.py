"""The first step of a trial: what all trials of a data set share, read from the store.

These are the images, the critics, the exemplars and people's point. `prepare.py` makes what is
missing before the first trial; `load` only reads. Images, exemplars and weights are memory maps of
files that a node has once, so all its processes share them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from oneshot import data as datasets
from oneshot.models.human import Config as HumanConfig
from oneshot.models.human import Human as HumanFamily
from oneshot.scoring.base_classifier import BaseClassifier
from oneshot.scoring.classifier import Classifier
from oneshot.scoring.plane import WAYS, Critics, Human
from oneshot.scoring.work import People
from oneshot.store import notes
from oneshot.store.node_cache import node_file
from oneshot.store.store import MAGIC, Store
from oneshot.sweep.point import CriticSpec, Point, digest
from oneshot.trial import own_critic
from oneshot.trial.exemplars import choose_exemplars, exemplars_id, exemplars_key
from oneshot.trial.files import MissingInput, local_file
from oneshot.trial.images import load_greys, load_images
from oneshot.types import DataSet, Drawings

Judge = TypeVar("Judge", Classifier, BaseClassifier)
KEPT_INPUTS = 4  # that a process keeps in memory
FEATURES_VERSION = 1  # of which drawings are kept as features
_cache: dict[tuple[str, ...], Inputs] = {}
_classifiers: dict[tuple[str, ...], Any] = {}  # with what they say of real images


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything a trial needs besides its own point.

    Attributes:
        data: the images, with their classes and splits.
        exemplars: image index of each class's exemplar, int64 [classes].
        critics: SimCLR and ProtoNet; None for all but bits, and for points without drawings.
        human: people's point; None where there are no critics.
        people: features of people's and of training drawings; None where there are no critics.
        classifier: of greys; None for all others, and for points without drawings.
        base_classifier: of base classes; None for points without novel ones.
        read_greys: gives the images in levels of ink, where the data set alone does not say it.
    """

    data: DataSet
    exemplars: np.ndarray
    critics: Critics | None
    human: Human | None
    people: People | None = None
    classifier: Classifier | None = None
    base_classifier: BaseClassifier | None = None
    read_greys: Callable[[], np.ndarray | None] | None = None

    def greys(self, config: Any) -> np.ndarray | None:
        """The images in grey levels, uint8 [N, H, W], if this Config binarises at random.

        They are a memory map, in step with `data.images`. None for other configurations.
        """
        wanted = getattr(config, "binarisation", "") == "stochastic"
        if not wanted:
            return None
        if self.read_greys is not None:
            return self.read_greys()
        return datasets.greys(self.data.name, self.data.image_size)


def keys(point: Point) -> dict[str, str]:
    """The store keys of a point's inputs by name, in the order in which they are made.

    There are none for a point without critics. Of greys it is the classifier alone.
    """
    if not point.scored:
        return {name: spec.weights_key for name, spec in point.critics.items()}
    kind, critics = point.settings["exemplar"], point.critics
    simclr, protonet = critics["simclr"], critics["protonet"]
    of_file = [point.files["human_file"]] if "human_file" in point.files else []
    human = digest(
        "human",
        exemplars_id(point, kind),
        simclr.id,
        protonet.id,
        {"plane": point.graders["plane"]},
        score_settings(point),
        *of_file,
    )
    names = {
        "chooser": critics["chooser"].weights_key,
        "simclr": simclr.weights_key,
        "protonet": protonet.weights_key,
        "exemplars": exemplars_key(point, kind),
        "human": f"store/humans/{human}.json",
    }
    if simclr == critics["chooser"]:
        del names["chooser"]
    if "panel" in point.graders:
        features = digest("features", FEATURES_VERSION, simclr.id, *of_file)
        names["features"] = f"store/features/{features}.npy"
    return names


def score_settings(point: Point) -> dict[str, Any]:
    """The settings of a point that people's point depends on."""
    names = ("protocol", "diversity_drawings", "ways")
    # people's points that were stored before this setting came keep their names
    return {n: point.settings[n] for n in names if (n, point.settings[n]) != ("ways", WAYS)}


def images_beside(point: Point) -> dict[str, Any]:
    """The settings of a point that need other images than those that the critics see.

    A run makes sure of these images before its first trial.
    """
    values = {n: point.settings.get(n) for n in ("binarisation", "transfer", "classify")}
    if not point.scored:
        values["dataset"] = point.settings["dataset"]
    return {n: v for n, v in values.items() if v not in (None, False, "none", "threshold")}


def load(point: Point, store: Store, device: torch.device) -> Inputs:
    """The inputs of a point; the last KEPT_INPUTS are kept in this process.

    Args:
        point: whose inputs.
        store: where they lie.
        device: where the critics go.

    Returns:
        Images, exemplars, critics and people's point.

    Raises:
        MissingInput: an input was not prepared.
        DamagedFile: an input is not whole.
        DataError: the images are others than those by which the point's ids were made.
    """
    chosen = [str(point.settings[n]) for n in ("dataset", "split", "image_size", "exemplar")]
    name = (
        store.root,
        *keys(point).values(),
        *chosen,
        point.data_fingerprint,
        str(point.seed),
        str(device),
    )
    if name not in _cache:
        given = _read(point, store, device)
        while len(_cache) >= KEPT_INPUTS:
            _cache.pop(next(iter(_cache)))
        _cache[name] = given
    return _cache[name]


def _read(point: Point, store: Store, device: torch.device) -> Inputs:
    """The inputs of a point, read from the store."""
    key_of, size = keys(point), point.settings["image_size"]
    greys = functools.partial(load_greys, point, store)
    if not point.scored:
        data = load_images(point, store)
        # there is no critic in whose space a medoid lies
        kind = point.settings["exemplar"].replace("medoid", "first")
        exemplars = choose_exemplars(data, kind, None, point.seed, device)
        judge = base = None
        if "classifier" in key_of:
            judge = read_classifier("classifier", Classifier, point, data, store, device)
        if "base_classifier" in key_of:
            base = read_classifier("base_classifier", BaseClassifier, point, data, store, device)
        judges: dict[str, Any] = dict(classifier=judge, base_classifier=base)
        return Inputs(data, exemplars, None, None, **judges, read_greys=greys)
    try:
        file = node_file(store, key_of["exemplars"])
        exemplars = np.load(file, mmap_mode="r", allow_pickle=False)
        human = read_human(key_of["human"], store)  # a kilobyte: no file of the node is needed
        critics = Critics(
            read_critic(point.critics["simclr"], size, store, device),
            read_critic(point.critics["protonet"], size, store, device),
            device,
        )
        data, people = load_images(point, store), None
        if "features" in key_of:
            features = np.load(
                node_file(store, key_of["features"]), mmap_mode="r", allow_pickle=False
            )
            label = people_drawings(point, data, exemplars, store).label
            people = People(features[: len(label)], label, features[len(label) :])
    except FileNotFoundError as error:
        raise _missing(error, store) from error
    return Inputs(data, exemplars, critics, human, people, read_greys=greys)


def _missing(error: FileNotFoundError, store: Store) -> MissingInput:
    """The error for an input that was not prepared."""
    where = f"an input of this sweep is not in {store.root}: {error.filename or error}"
    return MissingInput(f"{where}. Run the sweep again")


def read_classifier(
    critic: str,
    form: Callable[..., Judge],
    point: Point,
    data: DataSet,
    store: Store,
    device: torch.device,
) -> Judge:
    """A classifier of a point, the same object for all points of a process that have it.

    Args:
        critic: its name among the point's critics.
        form: makes it of its network, the images and the device.
        point: whose classifier.
        data: its images; those for tests are the same in every split.
        store: where its weights lie.
        device: where it goes.

    Returns:
        The network, and what it says of real images, as soon as that is asked for.

    Raises:
        MissingInput: it was not prepared.
    """
    spec = point.critics[critic]
    name = (store.root, spec.id, str(device))
    if name not in _classifiers:
        try:
            network = read_critic(spec, point.settings["image_size"], store, device)
        except FileNotFoundError as error:
            raise _missing(error, store) from error
        while len(_classifiers) >= KEPT_INPUTS:
            _classifiers.pop(next(iter(_classifiers)))
        _classifiers[name] = form(network, data, device)
    known: Judge = _classifiers[name]
    return known


def people_drawings(point: Point, data: DataSet, exemplars: np.ndarray, store: Store) -> Drawings:
    """The drawings that are the reference of a point: people's of the data set, or of a file.

    Args:
        point: its `human_file` says which.
        data: images and classes.
        exemplars: image index of each class's exemplar.
        store: holds the content of the file.

    Returns:
        The drawings, of the test classes.

    Raises:
        MissingInput: the store does not have the file.
    """
    file = point.settings["human_file"]
    config = HumanConfig(local_file(file, point.files["human_file"], store) if file else "")
    return HumanFamily(config).draw(data, exemplars, 0, 0)


def read_critic(spec: CriticSpec, image_size: int, store: Store, device: torch.device) -> nn.Module:
    """A critic from the store, in evaluation mode.

    Args:
        spec: which critic.
        image_size: side of the images that it sees, in pixels.
        store: where its weights lie.
        device: where it goes; on a CPU its weights are the pages of the node's file.

    Returns:
        The network.

    Raises:
        FileNotFoundError: the store has no such critic.
    """
    file = node_file(store, spec.weights_key)
    state = torch.load(file, weights_only=True, map_location="cpu", mmap=True)
    family = own_critic.family_of(spec, store)
    sizes = family.sizes_of(state) if hasattr(family, "sizes_of") else {}
    with torch.device("meta"):  # no weights of its own
        module = family.FAMILY(image_size, **sizes)
    module.load_state_dict(state, assign=True)
    return module.to(device).eval()


def read_human(key: str, store: Store, point: Point | None = None) -> Human:
    """People's point from the store.

    Args:
        key: where it lies.
        store: the store.
        point: if given, people must be scored by the critics that the store has for it now: other
            weights may have taken the place of damaged ones.

    Returns:
        People's point.

    Raises:
        FileNotFoundError: there is none, or no critics.
        ValueError, TypeError: it is not whole, or made with other critics.
    """
    values = notes.decode(store.read(key))
    scored_by = values.pop("critics", None)
    if point is not None and scored_by is not None and scored_by != critic_checksums(point, store):
        raise ValueError("it was made with other critics")
    return Human(**values)


def critic_checksums(point: Point, store: Store) -> list[str]:
    """The first digits of the checksums in the headers of a point's critics.

    Args:
        point: whose critics.
        store: where their weights lie.

    Returns:
        16 hexadecimal digits of SimCLR, and of ProtoNet.

    Raises:
        FileNotFoundError: there are no such critics.
    """
    size = len(MAGIC) + 32  # a sealed file begins with MAGIC and the SHA-256 of its content
    heads = (
        store.read_with(spec.weights_key, lambda file: file.read(size))
        for spec in (point.critics["simclr"], point.critics["protonet"])
    )
    return [bytes(head)[len(MAGIC) :].hex()[:16] for head in heads]
