"""What all trials of a data set share: images, critics, exemplars, the human point. Stored under ids, loaded once a node.

`prepare` computes what is missing, in order: SimCLR, the exemplars (medoids in its space), ProtoNet (whose support images they are),
people. `load` only reads: images, exemplars and weights are memory maps of files that a node has once, so all its processes share them.
People's point is a file of a kilobyte, as cheap to read as to ask whether it changed.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from oneshot import data as datasets
from oneshot import settings, streams
from oneshot.critics.encoder import embed_all
from oneshot.critics.importing import import_weights
from oneshot.data import digits
from oneshot.episodes import DataSet
from oneshot.models.human import Config as HumanConfig
from oneshot.models.human import Human as HumanFamily
from oneshot.node_files import node_file
from oneshot.points import CriticSpec, Point, digest
from oneshot.score import Critics, Human, grade
from oneshot.store import DamagedFile, Store

Report = Callable[[str, int, int, dict[str, Any]], None]


class MissingInput(RuntimeError):
    """A critic or another input was not prepared before the trial that needs it."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything a trial needs besides its own point. exemplars: int64 [classes], the image index of each class's exemplar.

    Critics and people are absent (None) where they do not score: of images in colour, of points without drawings.
    """

    data: DataSet
    exemplars: np.ndarray
    critics: Critics | None
    human: Human | None

    def greys(self, config: Any) -> np.ndarray | None:
        """The images in levels of ink, index by index, if this configuration of a family binarises at random; they are mapped."""
        wanted = getattr(config, "binarisation", "") == "stochastic"
        return datasets.greys(self.data.name, self.data.image_size) if wanted else None


def keys(point: Point) -> dict[str, str]:
    """The store keys of a point's inputs, in the order in which they are made; without critics there are none."""
    if not point.scored:
        return {}
    kind = point.settings["exemplar"]
    data = [point.settings["dataset"], point.settings["split"], point.settings["image_size"], point.data_fingerprint]
    chosen_by = {"medoid": point.simclr.id, "first": "", "random": str(point.seed)}[kind]
    exemplars = digest("exemplars", 1, data, kind, chosen_by)
    human = digest("human", exemplars, point.simclr.id, point.protonet.id, settings.METRIC_VERSIONS, _scoring(point))
    return {
        "simclr": point.simclr.weights_key,
        "protonet": point.protonet.weights_key,
        "exemplars": f"store/exemplars/{exemplars}.npy",
        "human": f"store/humans/{human}.json",
    }


def _scoring(point: Point) -> dict[str, Any]:
    """The score-stage settings of a point."""
    return {n: point.settings[n] for n in ("protocol", "diversity_drawings")}


def missing(point: Point, store: Store) -> list[str]:
    """The names of the inputs that are not in the store, or not whole there; a damaged one is set aside."""
    return [name for name, key in keys(point).items() if not _whole(key, store)]


def _whole(key: str, store: Store) -> bool:
    try:
        if key.endswith(".json"):
            Human(**json.loads(store.read(key)))
        else:
            store.unseal(key)
    except FileNotFoundError:
        return False
    except (DamagedFile, ValueError, TypeError) as error:
        warnings.warn(f"{store.path(key)} is damaged ({error}); it is made again", stacklevel=2)
        store.set_aside(key)
        return False
    return True


def images_beside(point: Point) -> dict[str, Any]:
    """The settings that ask for other images than those that critics see; a run makes sure of them before its first trial."""
    asked = {n: point.settings.get(n) for n in ("binarisation", "transfer", "classify")}
    if not point.scored:
        asked["dataset"] = point.settings["dataset"]
    return {n: v for n, v in asked.items() if v not in (None, False, "none", "threshold")}


def prepare(point: Point, store: Store, device: torch.device, report: Report = lambda *_: None) -> None:
    """Compute what is missing of a point's inputs. report(what, epoch, epochs, losses) follows the training of the critics.

    Raises DataError if images that the point needs are not to be had.
    """
    asked, size = images_beside(point), point.settings["image_size"]
    if "dataset" in asked:
        _data(point)
    if "binarisation" in asked:
        datasets.greys(point.settings["dataset"], size)
    if "transfer" in asked or "classify" in asked:
        digits.load(1, size)
    if not missing(point, store):
        return
    where, kind, data = keys(point), point.settings["exemplar"], _data(point)
    simclr = _critic(point.simclr, data, None, store, device, report)
    report("exemplars", 0, 1, {})
    medoids = choose_exemplars(data, "medoid", simclr, 0, device)
    exemplars = medoids if kind == "medoid" else choose_exemplars(data, kind, simclr, point.seed, device)
    buffer = io.BytesIO()
    np.save(buffer, exemplars)
    store.seal(where["exemplars"], buffer.getvalue())
    protonet = _critic(point.protonet, data, medoids, store, device, report)
    report("people", 0, 1, {})
    drawings = HumanFamily(HumanConfig()).draw(data, exemplars, 0, 0)
    grades = grade(drawings, Critics(simclr, protonet, device), **_scoring(point))
    store.write(where["human"], json.dumps(dataclasses.asdict(grades.human)).encode())


_cache: dict[tuple[str, ...], Inputs] = {}


def load(point: Point, store: Store, device: torch.device) -> Inputs:
    """The inputs of a point, from the store; the last four are kept in this process. Raises MissingInput or DamagedFile."""
    asked = [str(point.settings[n]) for n in ("dataset", "split", "image_size", "exemplar")]
    name = (store.root, *keys(point).values(), *asked, point.data_fingerprint, str(point.seed), str(device))
    if name not in _cache:
        given = _read(point, store, device)
        while len(_cache) >= 4:
            _cache.pop(next(iter(_cache)))
        _cache[name] = given
    return _cache[name]


def _read(point: Point, store: Store, device: torch.device) -> Inputs:
    where, size = keys(point), point.settings["image_size"]
    if not point.scored:
        data = _data(point)
        kind = point.settings["exemplar"].replace("medoid", "first")  # there is no critic in whose space a medoid lies
        return Inputs(data, choose_exemplars(data, kind, None, point.seed, device), None, None)
    try:
        exemplars = np.load(node_file(store, where["exemplars"]), mmap_mode="r", allow_pickle=False)
        human = Human(**json.loads(store.read(where["human"])))
        critics = Critics(_read_critic(point.simclr, size, store, device), _read_critic(point.protonet, size, store, device), device)
    except FileNotFoundError as error:
        raise MissingInput(f"an input of this sweep is not in {store.root}: {error.filename or error}. Run the sweep again") from error
    return Inputs(_data(point), exemplars, critics, human)


def _data(point: Point) -> DataSet:
    return datasets.load(point.settings["dataset"], point.settings["split"], point.settings["image_size"])


def choose_exemplars(data: DataSet, kind: str, simclr: nn.Module | None, seed: int, device: torch.device) -> np.ndarray:
    """One image a class, int64 [classes]: the medoid (nearest to the class mean in SimCLR's space), the first, or one at random by seed."""
    starts = np.searchsorted(data.label, np.arange(len(data.class_names)))
    sizes = np.bincount(data.label, minlength=len(data.class_names))
    if kind == "first":
        return starts.astype(np.int64)
    if kind == "random":
        return starts + streams.generator(seed, "exemplar").integers(sizes)
    assert simclr is not None
    features = embed_all(simclr, np.asarray(data.images), device).astype(np.float64)
    means = np.stack([np.bincount(data.label, column) for column in features.T], 1) / sizes[:, None]
    far = ((features - means[data.label]) ** 2).sum(1)
    return np.array([start + far[start : start + size].argmin() for start, size in zip(starts, sizes)], np.int64)


def _module(kind: str) -> ModuleType:
    return importlib.import_module(f"oneshot.critics.{kind}")


def _critic(spec: CriticSpec, data: DataSet, exemplars: np.ndarray | None, store: Store, device: torch.device, report: Report) -> nn.Module:
    """A critic from the store, else imported from its published file, else trained; stored with its quality."""
    key = spec.weights_key
    if _whole(key, store):
        return _read_critic(spec, data.image_size, store, device)
    family = _module(spec.kind)
    config = family.Config(**spec.settings)

    def tell(epoch: int, losses: dict[str, Any]) -> None:
        report(spec.kind, epoch, config.epochs, losses)

    if config.weights:
        module = import_weights(config.weights, spec.kind, data.image_size).to(device)
        quality, curve = family.quality(module, data, exemplars, spec.seed, device), []
    else:
        module, quality, curve = family.train(config, data, exemplars, spec.seed, device, tell)
    note = {"critic": spec.kind, "critic_id": spec.id, "dataset": data.name, "split": data.split, "image_size": data.image_size}
    store.write(spec.quality_key, json.dumps({**note, **quality, "settings": spec.settings, "curve": curve}).encode())
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    store.seal(key, buffer.getvalue())
    return module


def _read_critic(spec: CriticSpec, image_size: int, store: Store, device: torch.device) -> nn.Module:
    """A critic from the store. On a CPU its weights are the pages of the node's file."""
    state = torch.load(node_file(store, spec.weights_key), weights_only=True, map_location="cpu", mmap=True)
    with torch.device("meta"):  # no weights of its own
        module = _module(spec.kind).FAMILY(image_size)
    module.load_state_dict(state, assign=True)
    return module.to(device).eval()
