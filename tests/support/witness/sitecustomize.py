"""Started by every Python process of a test's cluster: writes down what workers do and causes the
faults that a test asked for.

$ONESHOT_WITNESS is a folder. Each process appends to `witness-<pid>.jsonl` there: the epochs that
it ended, the trials that it began, the files that it read from the store and the images that it
built. `faults.json` there holds [{"where": {setting: value}, "do": "raise" | "exit" | "odd" | "eat"
| "slow" | "wait", ...}].
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

trained: set[str] = set()  # what this process has trained an epoch of
FOLDER = Path(os.environ.get("ONESHOT_WITNESS") or os.devnull)


def note(what: str, **more: Any) -> None:
    """One line, whole in one write, so that a kill leaves whole lines."""
    line = (
        json.dumps(
            {
                "what": what,
                "time": time.time(),
                "pid": os.getpid(),
                "node": os.environ.get("ONESHOT_NODE", ""),
                **more,
            }
        )
        + "\n"
    )
    with (FOLDER / f"witness-{os.getpid()}.jsonl").open("ab", buffering=0) as file:
        file.write(line.encode())


class Odd(Exception):
    """An exception that cannot travel and whose text is not UTF-8."""

    def __init__(self, message: str):
        super().__init__(f"{message} \ud800")
        self.lock = threading.Lock()


def faults() -> list[dict[str, Any]]:
    path = FOLDER / "faults.json"
    return json.loads(path.read_text()) if path.is_file() else []


def cause(settings: dict[str, Any], epochs_done: int) -> None:
    """The fault that fits a training of these settings, if there is one."""
    for fault in faults():
        if all(settings.get(name) == value for name, value in fault["where"].items()):
            if fault["do"] == "raise":
                raise RuntimeError(fault["message"])
            if fault["do"] == "exit":
                sys.exit(fault["message"])
            if fault["do"] == "odd":
                raise Odd(fault["message"])
            if fault["do"] == "eat":
                note("eats", settings=fault["where"])
                held = []
                while sum(map(len, held)) < fault["most"]:
                    held.append(b"x" * 2**26)
                    time.sleep(0.02)
                time.sleep(fault.get("seconds", 30))  # full: until somebody kills it
            if fault["do"] == "oom":
                import ray
                import torch

                share = ray.get_runtime_context().get_assigned_resources().get("GPU", 0)
                note("oom", settings=fault["where"], share=share)
                if share < fault["below"]:
                    raise torch.OutOfMemoryError(fault["message"])
            # a worker that has trained, or a training that has so many epochs behind it; until the
            # test takes the fault away
            due = epochs_done >= fault["after"] if "after" in fault else bool(trained)
            while fault["do"] == "wait" and due and fault in faults():
                time.sleep(0.05)


def watch_train(module: ModuleType) -> None:
    whole = module._StackRun.epoch

    def epoch(self: Any, stop: Any) -> Any:
        for one in self.members:
            cause(vars(one.model.config), one.training.epochs_done)
        row = whole(self, stop)
        if row is not None:
            trained.update(one.checkpoint.key for one in self.members)
            for one in self.members:
                note(
                    "epoch",
                    train_id=one.checkpoint.key.split("/")[2],
                    epoch=one.training.epochs_done - 1,
                )
        return row

    module._StackRun.epoch = epoch


def watch_store(module: ModuleType) -> None:
    whole = module.Store.unseal

    def unseal(self: Any, key: str) -> bytes:
        note("read", key=key)
        return bytes(whole(self, key))

    module.Store.unseal = unseal


def watch_cache(module: ModuleType) -> None:
    whole = module._write

    def write(path: Path, *more: Any) -> None:
        note("builds", file=path.name)
        whole(path, *more)

    module._write = write


WATCHED = {
    "oneshot.training.loop": watch_train,
    "oneshot.store.store": watch_store,
    "oneshot.store.machine_cache": watch_cache,
}


class Finder(importlib.abc.MetaPathFinder):
    """Lets a watched module load as ever and then changes it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> Any:
        if name not in WATCHED:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            WATCHED[name](module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if FOLDER.is_dir():
    sys.meta_path.insert(0, Finder())
