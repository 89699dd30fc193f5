"""sweep.json: everything about the run that was started, without secrets."""

from __future__ import annotations

import argparse
import dataclasses
import re
from typing import Any

from oneshot.console.messages import own_points
from oneshot.store.plan import Plan

SECRET = ("on_end",)  # a command of the user's, which may hold the address of a secret hook
PUBLIC_PARAMETERS = ("region", "scheme", "endpoint_override")  # of a URI: where it is


def manifest(plan: Plan, options: argparse.Namespace, revision: str) -> dict[str, Any]:
    """What sweep.json says of a run.

    Args:
        plan: what is run.
        options: of the command line.
        revision: of the code.

    Returns:
        Plain values for JSON.
    """
    sweep, first = plan.sweep, (own_points(plan) or plan.points)[0]
    given = {**vars(options), "results": plan.store.path("")}
    fields = ("name", "path", "question", "model", "axes", "variant")
    return {
        **{name: getattr(sweep, name) for name in fields},
        **(
            {"family_file": dict(zip(("path", "content"), first.family_file))}
            if sweep.model_file
            else {}
        ),
        **({"metrics": list(sweep.metrics)} if sweep.metrics else {}),
        "fixed": dict(sweep.fixed),
        "seeds": sweep.seed_list(),
        "points": len(plan.all_points if plan.shard else plan.points),
        "to_run": len(plan.to_run),
        "settings": first.settings,
        "critics": {name: dataclasses.asdict(spec) for name, spec in first.critics.items()},
        "git_revision": revision,
        "options": {
            name: _without_secrets(value)
            for name, value in given.items()
            if value not in (None, False, "", []) and name not in SECRET
        },
    }


def _without_secrets(value: Any) -> Any:
    """A value whose URIs have no user, password, or parameter but those that say where it is."""
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, str) or "://" not in value:
        return value
    address, _, query = re.sub(r"://[^/\s?]*@", "://", value).partition("?")
    public = [
        part
        for part in query.split("&")
        if part.partition("=")[0] in PUBLIC_PARAMETERS and "@" not in part
    ]
    return address + ("?" + "&".join(public) if public else "")
