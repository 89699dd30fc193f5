"""What all trials of a data set share: images, critics, exemplars, the human point. Stored under
ids, loaded once a node.

`prepare` computes what is missing, in order: SimCLR, the exemplars (medoids in its space), ProtoNet
(whose support images they are), people. All sweeps of a results folder share these, so each is made
by one process, under a lease of its own: others wait for it, and take its work over where it dies.
What is stored is never replaced while it is whole, and what is stored is what is used. `load` only
reads: images, exemplars and weights are memory maps of files that a node has once, so all its
processes share them. People's point is a file of a kilobyte, as cheap to read as to ask whether it
changed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from oneshot import data as datasets
from oneshot import rng
from oneshot.critics.encoder import embed_all
from oneshot.critics.importing import import_weights
from oneshot.data import digits
from oneshot.models.human import Config as HumanConfig
from oneshot.models.human import Human as HumanFamily
from oneshot.paths import DataError
from oneshot.scoring.plane import Critics, Human, grade
from oneshot.store import notes
from oneshot.store.lease import Lease, Taken, holder
from oneshot.store.node_cache import node_file
from oneshot.store.store import MAGIC, DamagedFile, Store
from oneshot.sweep import settings
from oneshot.sweep.point import CriticSpec, Point, digest
from oneshot.types import DataSet

# while another process makes an input: between two looks, and two words about it
LOOK_SECONDS, SAY_SECONDS = 1.0, 60.0
TITLES = {"simclr": "SimCLR", "protonet": "ProtoNet"}

Report = Callable[[str, int, int, dict[str, Any]], None]
T = TypeVar("T")


class MissingInput(RuntimeError):
    """A critic or another input was not prepared before the trial that needs it."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything a trial needs besides its own point. exemplars: int64 [classes], the image index
    of each class's exemplar.

    Critics and people are absent (None) where they do not score: of images in colour, of points
    without drawings.
    """

    data: DataSet
    exemplars: np.ndarray
    critics: Critics | None
    human: Human | None

    def greys(self, config: Any) -> np.ndarray | None:
        """The images in levels of ink, index by index, if this configuration of a family binarises
        at random; they are mapped.
        """
        wanted = getattr(config, "binarisation", "") == "stochastic"
        return datasets.greys(self.data.name, self.data.image_size) if wanted else None


def keys(point: Point) -> dict[str, str]:
    """The store keys of a point's inputs, in the order in which they are made; without critics
    there are none.
    """
    if not point.scored:
        return {}
    exemplars = _exemplars_id(point, point.settings["exemplar"])
    human = digest(
        "human",
        exemplars,
        point.simclr.id,
        point.protonet.id,
        settings.METRIC_VERSIONS,
        _scoring(point),
    )
    return {
        "simclr": point.simclr.weights_key,
        "protonet": point.protonet.weights_key,
        "exemplars": f"store/exemplars/{exemplars}.npy",
        "human": f"store/humans/{human}.json",
    }


def _exemplars_id(point: Point, kind: str) -> str:
    """What identifies the exemplars of this kind for the images, the critic and the seed of a
    point.
    """
    data = [
        point.settings["dataset"],
        point.settings["split"],
        point.settings["image_size"],
        point.data_fingerprint,
    ]
    chosen_by = {"medoid": point.simclr.id, "first": "", "random": str(point.seed)}[kind]
    return digest("exemplars", 1, data, kind, chosen_by)


def _scoring(point: Point) -> dict[str, Any]:
    """The score-stage settings of a point."""
    return {n: point.settings[n] for n in ("protocol", "diversity_drawings")}


def missing(point: Point, store: Store) -> list[str]:
    """The names of the inputs that are not in the store, or not whole there, which is told in a
    warning.

    A critic is missing also where its quality is, as that is written last.
    """
    specs = {"simclr": point.simclr, "protonet": point.protonet}

    def lacks(name: str, key: str) -> bool:
        if name == "human":
            return not _is_whole(key, store, lambda: _read_human(key, store, point))
        return not _whole(key, store) or (
            name in specs and not _whole(specs[name].quality_key, store)
        )

    return [name for name, key in keys(point).items() if lacks(name, key)]


def _whole(key: str, store: Store) -> bool:
    """Whether there is an undamaged file; a damaged one is named in a warning."""
    return _is_whole(
        key,
        store,
        lambda: notes.decode(store.read(key)) if key.endswith(".json") else store.unseal(key),
    )


def _is_whole(key: str, store: Store, read: Callable[[], object]) -> bool:
    try:
        read()
    except FileNotFoundError:
        return False
    except (DamagedFile, ValueError, TypeError) as error:
        warnings.warn(f"{store.path(key)} is damaged ({error}); it is made again", stacklevel=3)
        return False
    return True


def _read_human(key: str, store: Store, point: Point | None = None) -> Human:
    """People's point.

    Args:
        key: where it lies.
        store: the store.
        point: if given, people have to be scored by the critics that the store has for it: other
            weights may have taken the place of damaged ones.

    Raises:
        FileNotFoundError: there is none, or no critics.
        ValueError, TypeError: it is not whole, or made with other critics.
    """
    values = notes.decode(store.read(key))
    scored_by = values.pop("critics", None)
    if point is not None and scored_by is not None and scored_by != _checksums(point, store):
        raise ValueError("it was made with other critics")
    return Human(**values)


def _checksums(point: Point, store: Store) -> list[str]:
    """The first digits of the checksums in the headers of both critics."""
    size = len(MAGIC) + 32
    heads = (
        store.read_with(spec.weights_key, lambda file: file.read(size))
        for spec in (point.simclr, point.protonet)
    )
    return [bytes(head)[len(MAGIC) :].hex()[:16] for head in heads]


def images_beside(point: Point) -> dict[str, Any]:
    """The settings that ask for other images than those that critics see; a run makes sure of them
    before its first trial.
    """
    asked = {n: point.settings.get(n) for n in ("binarisation", "transfer", "classify")}
    if not point.scored:
        asked["dataset"] = point.settings["dataset"]
    return {n: v for n, v in asked.items() if v not in (None, False, "none", "threshold")}


def prepare(
    point: Point, store: Store, device: torch.device, report: Report = lambda *_: None
) -> None:
    """Compute what is missing of a point's inputs. report(what, epoch, epochs, losses) follows the
    training of the critics.

    Raises DataError if images that the point needs are not to be had.
    """
    asked, size = images_beside(point), point.settings["image_size"]
    if "dataset" in asked:
        _data(point)
    if "binarisation" in asked:
        datasets.greys(point.settings["dataset"], size)
    if "transfer" in asked or "classify" in asked:
        digits.load(1, size)
    # people whose critics were just made again are found to be others' at the second look
    for _ in range(2):
        maker = _Maker(point, store, device, report)
        for name in missing(point, store):  # in the order in which one rests on the other
            getattr(maker, name)


class _Maker:
    """The inputs of a point, each read from the store or made when something first asks for it."""

    def __init__(self, point: Point, store: Store, device: torch.device, report: Report):
        self.point, self.store, self.device, self.report = point, store, device, report
        self.where = keys(point)

    @functools.cached_property
    def data(self) -> DataSet:
        return _data(self.point)

    @functools.cached_property
    def simclr(self) -> nn.Module:
        return _critic(
            self.point.simclr, lambda: self.data, lambda: None, self.store, self.device, self.report
        )

    @functools.cached_property
    def protonet(self) -> nn.Module:
        return _critic(
            self.point.protonet,
            lambda: self.data,
            self._supports,
            self.store,
            self.device,
            self.report,
        )

    @functools.cached_property
    def exemplars(self) -> np.ndarray:
        return self._chosen(self.point.settings["exemplar"])

    @functools.cached_property
    def human(self) -> Human:
        key = self.where["human"]

        def make() -> None:
            critics = Critics(self.simclr, self.protonet, self.device)
            drawings = HumanFamily(HumanConfig()).draw(self.data, self.exemplars, 0, 0)
            human = grade(drawings, critics, **_scoring(self.point)).human
            scored_by = {"critics": _checksums(self.point, self.store)}
            self.store.create(key, notes.encode({**dataclasses.asdict(human), **scored_by}))

        place = key.removesuffix(".json")
        return _once(
            "people",
            place,
            key,
            lambda: _read_human(key, self.store, self.point),
            make,
            self.store,
            self.report,
        )

    def _chosen(self, kind: str) -> np.ndarray:
        """The exemplars of a kind. Medoids are stored once for all that rest on them."""
        key = f"store/exemplars/{_exemplars_id(self.point, kind)}.npy"

        def make() -> None:
            simclr = self.simclr if kind == "medoid" else None
            buffer = io.BytesIO()
            np.save(buffer, choose_exemplars(self.data, kind, simclr, self.point.seed, self.device))
            _seal_once(self.store, key, buffer.getvalue())

        def read() -> np.ndarray:
            chosen: np.ndarray = np.load(io.BytesIO(self.store.unseal(key)), allow_pickle=False)
            return chosen

        return _once(
            "exemplars", key.removesuffix(".npy"), key, read, make, self.store, self.report
        )

    def _supports(self) -> np.ndarray:
        """The support images of ProtoNet: the medoids; of an imported one, those of the test
        classes, by which its quality is known.
        """
        imported = bool(self.point.protonet.settings.get("weights"))
        if (
            imported
            and self.point.settings["exemplar"] != "medoid"
            and not _whole(self._medoids_key, self.store)
        ):
            return choose_exemplars(
                self.data, "medoid", self.simclr, 0, self.device, self.data.test
            )
        return self._chosen("medoid")

    @property
    def _medoids_key(self) -> str:
        return f"store/exemplars/{_exemplars_id(self.point, 'medoid')}.npy"


def _once(
    what: str,
    place: str,
    key: str,
    read: Callable[[], T],
    make: Callable[[], None],
    store: Store,
    report: Report,
) -> T:
    """What is stored under a key, made by one process at a time if it is not there whole.

    Args:
        what: its name, for people.
        place: the folder of the lease under which it is made.
        key: where it lies.
        read: gives what is stored; raises FileNotFoundError, or ValueError, TypeError or
            DamagedFile if it is not whole.
        make: stores it, but not over what somebody else has stored meanwhile.
        store: the store.
        report: is told of waiting, as in `prepare`.

    Raises:
        DamagedFile: what was just written is not whole.
    """
    said, who, damaged = 0.0, "", False

    def look() -> tuple[T] | None:
        nonlocal damaged
        damaged = False
        try:
            return (read(),)
        except FileNotFoundError:
            return None
        except (DamagedFile, ValueError, TypeError) as error:
            damaged = True
            warnings.warn(f"{store.path(key)} is damaged ({error}); it is made again", stacklevel=4)
            return None

    while (found := look()) is None:
        try:
            with Lease(store, place, lambda: {"makes": what}):
                if (found := look()) is not None:  # another one has made it since
                    break
                # nobody else puts it aside, or a good one in its place, while we hold the lease
                if damaged:
                    store.set_aside(key)
                report(what, 0, 1, {})
                make()
                if (found := look()) is None:
                    raise DamagedFile(f"{store.path(key)} is not what was just written there")
                break
        except Taken:
            if (now := holder(store, place)) is not None:
                name = f"process {now[0]['pid']} on {now[0]['host']}"
                if name != who or time.monotonic() - said > SAY_SECONDS:
                    said, who = time.monotonic(), name
                    report(f"waiting for {what}, which {name} is making", 0, 1, {})
                time.sleep(LOOK_SECONDS)
    return found[0]


def _seal_once(store: Store, key: str, data: bytes) -> bool:
    """Write a sealed file unless there is one; whether it was written."""
    return store.create(key, MAGIC + hashlib.sha256(data).digest() + data)


_cache: dict[tuple[str, ...], Inputs] = {}


def load(point: Point, store: Store, device: torch.device) -> Inputs:
    """The inputs of a point, from the store; the last four are kept in this process. Raises
    MissingInput or DamagedFile.
    """
    asked = [str(point.settings[n]) for n in ("dataset", "split", "image_size", "exemplar")]
    name = (
        store.root,
        *keys(point).values(),
        *asked,
        point.data_fingerprint,
        str(point.seed),
        str(device),
    )
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
        # there is no critic in whose space a medoid lies
        kind = point.settings["exemplar"].replace("medoid", "first")
        return Inputs(data, choose_exemplars(data, kind, None, point.seed, device), None, None)
    try:
        exemplars = np.load(node_file(store, where["exemplars"]), mmap_mode="r", allow_pickle=False)
        human = _read_human(where["human"], store)
        critics = Critics(
            _read_critic(point.simclr, size, store, device),
            _read_critic(point.protonet, size, store, device),
            device,
        )
    except FileNotFoundError as error:
        raise MissingInput(
            f"an input of this sweep is not in {store.root}: {error.filename or error}. Run the"
            " sweep again"
        ) from error
    return Inputs(_data(point), exemplars, critics, human)


def _data(point: Point) -> DataSet:
    """The images of a point. Raises DataError if they are not those by which its ids were made."""
    data = datasets.load(
        point.settings["dataset"], point.settings["split"], point.settings["image_size"]
    )
    if data.fingerprint != point.data_fingerprint:
        what = (
            f"{data.name} on this machine ({data.fingerprint}) is not what the run began with"
            f" ({point.data_fingerprint})"
        )
        raise DataError(
            f"{what}\n  help: bring the same files to all machines, and leave them as they are"
            " while a sweep runs"
        )
    return data


def choose_exemplars(
    data: DataSet,
    kind: str,
    simclr: nn.Module | None,
    seed: int,
    device: torch.device,
    classes: np.ndarray | None = None,
) -> np.ndarray:
    """One image a class, int64 [classes]: the medoid (nearest to the class mean in SimCLR's space),
    the first, or one at random by seed.

    classes: those whose medoids are wanted, None for all; the others are -1.
    """
    starts = np.searchsorted(data.label, np.arange(len(data.class_names)))
    sizes = np.bincount(data.label, minlength=len(data.class_names))
    if kind == "first":
        return starts.astype(np.int64)
    if kind == "random":
        return starts + rng.generator(seed, "exemplar").integers(sizes)
    assert simclr is not None
    rows = np.arange(len(data.label)) if classes is None else data.rows(classes)
    label = data.label[rows]
    features = embed_all(simclr, data.images[rows], device).astype(np.float64)
    means = (
        np.stack([np.bincount(label, column, len(sizes)) for column in features.T], 1)
        / sizes[:, None]
    )
    far = ((features - means[label]) ** 2).sum(1)
    chosen = np.full(len(sizes), -1, np.int64)
    at = 0
    for c in np.unique(label):
        chosen[c] = starts[c] + far[at : at + sizes[c]].argmin()
        at += sizes[c]
    return chosen


def _module(kind: str) -> ModuleType:
    return importlib.import_module(f"oneshot.critics.{kind}")


def _critic(
    spec: CriticSpec,
    data: Callable[[], DataSet],
    exemplars: Callable[[], np.ndarray | None],
    store: Store,
    device: torch.device,
    report: Report,
) -> nn.Module:
    """A critic from the store, else imported from its published file, else trained; stored with its
    quality.

    Weights are written before their quality. Where a process died between the two, the quality is
    computed from the stored weights, without the curve of the training.
    """
    family = _module(spec.kind)
    config = family.Config(**spec.settings)

    def tell(epoch: int, losses: dict[str, Any]) -> None:
        report(spec.kind, epoch, config.epochs, losses)

    def read() -> nn.Module:
        # a node's own copy may be whole where the stored file is not
        store.unseal(spec.weights_key)
        return _read_critic(spec, data().image_size, store, device)

    def make() -> None:
        images, supports = data(), exemplars()
        if config.weights:
            module = import_weights(config.weights, spec.kind, images.image_size).to(device)
            quality, curve = family.quality(module, images, supports, spec.seed, device), []
        else:
            module, quality, curve = family.train(config, images, supports, spec.seed, device, tell)
        buffer = io.BytesIO()
        torch.save(module.state_dict(), buffer)
        if _seal_once(store, spec.weights_key, buffer.getvalue()):
            note(quality, curve)

    def note(quality: dict[str, Any], curve: list[dict[str, Any]]) -> None:
        images = data()
        about = {
            "critic": spec.kind,
            "critic_id": spec.id,
            "dataset": images.name,
            "split": images.split,
            "image_size": images.image_size,
        }
        store.create(
            spec.quality_key,
            notes.encode({**about, **quality, "settings": spec.settings, "curve": curve}),
        )

    place, title = f"store/critics/{spec.id}", TITLES[spec.kind]
    module = _once(title, place, spec.weights_key, read, make, store, report)

    def judge() -> None:
        note(family.quality(module, data(), exemplars(), spec.seed, device), [])

    def read_note() -> dict[str, Any]:
        return notes.decode(store.read(spec.quality_key))

    _once(f"the quality of {title}", place, spec.quality_key, read_note, judge, store, report)
    return module


def _read_critic(
    spec: CriticSpec, image_size: int, store: Store, device: torch.device
) -> nn.Module:
    """A critic from the store. On a CPU its weights are the pages of the node's file."""
    state = torch.load(
        node_file(store, spec.weights_key), weights_only=True, map_location="cpu", mmap=True
    )
    with torch.device("meta"):  # no weights of its own
        module = _module(spec.kind).FAMILY(image_size)
    module.load_state_dict(state, assign=True)
    return module.to(device).eval()
