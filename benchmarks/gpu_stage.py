"""A stage of gpu_slot.py at work: it prints and saves each result at once, keeps its time, and
compares with what was predicted.

Predictions are those of a cost model for one H200 (kernels times launch time, bytes over bandwidth,
arithmetic over sustained rate); they are printed beside full-size GPU results, which are marked
where they miss by more than MISS.
"""

from __future__ import annotations

import gc
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

MISS = 1.5
Result = dict[str, Any]
Range = tuple[float, float]


def verdict(value: float, predicted: Range) -> str:
    """How a value compares with the predicted range; "" within a factor of MISS of it."""
    low, high = predicted
    off = max(value / high, low / value) if value > 0 else float("inf")
    return f"MISSED by {off:.1f} times" if off > MISS else ""


def shown(value: float, unit: str) -> str:
    """A value in a handy unit; seconds as s, ms or us."""
    if unit == "s":
        scale, unit = (1, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "us")
        value *= scale
    return f"{value:.3g} {unit}" if value < 1e4 else f"{value:,.0f} {unit}"


class Stage:
    """One stage of the plan at work: each result is printed and written to its file at once, and
    kept by a later run with the same `head`.

    seconds: what is left for it; a result that needs more is skipped, which is said. predict:
    whether predictions apply to this machine.
    """

    def __init__(
        self,
        number: int,
        title: str,
        seconds: float,
        folder: Path,
        head: dict[str, Any],
        predict: bool = True,
    ):
        self.number, self.predict, self.file = number, predict, folder / f"{number:02d}.json"
        self.begun = time.monotonic()
        self.end = self.begun + seconds
        before = read(self.file)
        same = before.get("head") == head
        earlier = (
            {
                n: r
                for n, r in before.get("results", {}).items()
                if "value" in r and r.get("passed", True)
            }
            if same
            else {}
        )
        self.content: dict[str, Any] = {
            "stage": number,
            "title": title,
            "head": head,
            "complete": False,
            "results": earlier,
        }
        print(f"-- stage {number}: {title} ({seconds:.0f} s)", flush=True)

    @property
    def results(self) -> dict[str, Result]:
        return self.content["results"]

    def run(
        self,
        name: str,
        program: Callable[[], Result],
        needs: float = 5.0,
        predicted: Range | None = None,
    ) -> Result:
        """The result of a program: at least "value" and "unit". needs: seconds it takes, roughly. A
        failure is recorded, not raised.
        """
        kept = name in self.results and "value" in self.results[name]
        if not kept:
            self.results[name] = self._outcome(program, needs)
            release()
        result = self.results[name]
        if predicted is not None and self.predict and "value" in result:
            result |= {"predicted": list(predicted), "verdict": verdict(result["value"], predicted)}
        print(
            f"[{self.number}] {name}:"
            f" {_words(result)}{'  (kept from an earlier run)' if kept else ''}",
            flush=True,
        )
        self.save()
        return result

    def _outcome(self, program: Callable[[], Result], needs: float) -> Result:
        left = self.end - time.monotonic()
        if left < needs:
            return {"skipped": f"needs about {needs:.0f} s, {max(left, 0):.0f} s are left"}
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                result = program()
            except Exception as error:
                # the slot is short: what fails must not keep the rest from being measured
                result = {"failed": f"{type(error).__name__}: {error}"[:600]}
        notes = sorted({str(w.message)[:600] for w in said if "CUDA graph" in str(w.message)})
        return {**result, "notes": notes} if notes else result

    def check(
        self, name: str, program: Callable[[], tuple[float, float]], needs: float = 5.0
    ) -> None:
        """A difference and the largest that passes."""

        def judged() -> Result:
            value, limit = program()
            return {"value": value, "unit": f"of at most {limit:.1g}", "passed": value <= limit}

        self.run(name, judged, needs)

    def say(self, text: str) -> None:
        print(f"[{self.number}] {text}", flush=True)
        if text not in self.content.setdefault("remarks", []):
            self.content["remarks"].append(text)

    def save(self, complete: bool = False) -> None:
        self.content |= {"complete": complete, "seconds": round(time.monotonic() - self.begun, 1)}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".part")
        partial.write_text(json.dumps(self.content, indent=1))
        partial.replace(self.file)


def read(file: Path) -> dict[str, Any]:
    """The content of a stage's file; {} where there is none or it is damaged."""
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return {}


def _words(result: Result) -> str:
    noted = "".join(f"  NOTE: {note}" for note in result.get("notes", []))
    if "value" not in result:
        return next(f"{how}: {why}" for how, why in result.items()) + noted
    unit = result["unit"]
    words = shown(result["value"], unit)
    if "low" in result:
        words += f" ({' .. '.join(shown(result[end], unit) for end in ('low', 'high'))})"
    words += "".join(
        f", {n.replace('_', ' ')} {v:,.4g}"
        for n, v in result.items()
        if n in MORE and v is not None
    )
    if "predicted" in result:
        low, high = (shown(p, unit) for p in result["predicted"])
        predicted = low if low == high else f"{low} .. {high}"
        words += f"  predicted {predicted}  {result['verdict']}".rstrip()
    if "passed" in result:
        words += "  pass" if result["passed"] else "  FAIL: no go"
    return words + noted


MORE = (
    "kernels_a_step",
    "busy",
    "memory_gb",
    "prepare_s",
    "points_an_hour",
    "steps",
    "epoch_less_steps_s",
)


def release() -> None:
    """Give back what the last program held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
