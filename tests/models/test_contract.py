"""What every registered family must do, on its `tiny` variants. A new family file is found here by
its name.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_families import (
    FAMILIES,
    SIZE,
    TRAINED,
    asked,
    batch,
    build,
    data_for,
    drawings_data,
    first_exemplars,
    kind,
)

from oneshot import cli
from oneshot import rng as streams
from oneshot.contracts import LikelihoodFamily, SetFamily, TrainedFamily
from oneshot.scoring.sample import draw
from oneshot.sweep import families, requirements, settings
from oneshot.trial import check_family
from oneshot.trial import family_contract as contract
from oneshot.types import Kind


@pytest.mark.parametrize("family", families.names("models"))
def test_a_family_file_is_complete(family: str) -> None:
    head = families.declaration("models", family)
    assert (
        "tiny" in head.variants
        and head.version >= 1
        and head.summary.endswith((".", ")", "definition."))
    )
    for name, values in head.variants.items():
        settings.resolve(name, head.config, values)
    assert all(f.metadata["help"] for f in head.fields.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_drawings_are_of_the_kind_and_classes_that_were_asked_for_and_repeat_by_seed(
    family: str,
) -> None:
    model = build(family)
    data = data_for(model)
    exemplars = first_exemplars(data)

    def drawn(seed: int) -> Any:
        if isinstance(model, TrainedFamily):
            return draw(model, data, exemplars, 3, seed, torch.device("cpu"))
        return model.draw(data, exemplars, 3, seed)

    one, again = drawn(7), drawn(7)
    assert np.array_equal(one.images, again.images)
    shapes = {Kind.BITS: (SIZE, SIZE), Kind.GREYS: (SIZE, SIZE, 1), Kind.POINTS: (2,)}
    assert one.images.shape[1:] == shapes[kind(model)] == one.exemplars.shape[1:]
    assert one.images.dtype == data.images.dtype and np.isfinite(one.images).all()
    assert kind(model) != Kind.BITS or set(np.unique(one.images)) <= {0, 1}
    classes = {"exemplar": len(data.test), "class": len(data.class_names), "nothing": 1}
    by_nothing = data.part is not None  # what references of such data are asked by
    count = classes[getattr(model, "asks", "nothing" if by_nothing else "exemplar")]
    assert (
        np.array_equal(np.unique(one.label), np.arange(count)) and (np.diff(one.label) >= 0).all()
    )
    assert len(one.exemplars) == len(one.class_names) == count
    assert one.class_names[0] == {21: "class 9", 1: ""}.get(count, data.class_names[0])
    if family in ("noise:tiny", "ring:tiny", "chords:tiny", *TRAINED):
        assert not np.array_equal(one.images, drawn(8).images) or one.constant == len(one.images)


@pytest.mark.parametrize("family", TRAINED)
def test_a_drawing_is_the_same_at_any_batch_size(family: str) -> None:
    model = build(family).eval()
    data = data_for(model)
    classes, numbers = np.arange(9, 21), np.arange(12) % 5
    noise = torch.from_numpy(
        streams.normal_per_drawing(3, classes, numbers, model.drawing_noise_shape)
    )
    assert torch.equal(
        noise[4:5],
        torch.from_numpy(
            streams.normal_per_drawing(3, classes[4:5], numbers[4:5], model.drawing_noise_shape)
        ),
    )
    by_batch = [
        draw(model, data, first_exemplars(data), 2, 3, torch.device("cpu"), batch=b).images
        for b in (1, 7, 500)
    ]
    # another batch may take another kernel, and a pixel at one half fall on the other side
    nearest = {Kind.BITS: 0, Kind.GREYS: 1, Kind.POINTS: 1e-4}[kind(model)]
    for other in by_batch[1:]:
        away = np.abs(by_batch[0].astype(float) - other)
        assert by_batch[0].shape == other.shape and np.mean(away > nearest) <= 1e-3
    # else rounding, which a diffusion model divides by what is left of an image, would count
    model, noise = model.double(), noise.double()
    exemplars = asked(model, 12).double()
    whole = model.sample(exemplars, noise)
    some = [0, 5, 11]
    single = torch.cat([model.sample(exemplars[i : i + 1], noise[i : i + 1]) for i in some])
    torch.testing.assert_close(whole[some], single, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("rule", contract.CHECKS)
@pytest.mark.parametrize("family", TRAINED)
def test_a_family_keeps_the_rules_that_own_families_are_checked_for(family: str, rule: str) -> None:
    """Losses per example, drawings, no hidden state, stacks without a slow fallback, all sizes."""
    name, _, variant = family.partition(":")
    values = families.declaration("models", name).variants[variant]
    made = check_family.tried(name, values, families.kinds(name)[0])
    assert list(contract.CHECKS[rule](made)) == []


@pytest.mark.parametrize("family", TRAINED)
def test_elbo_of_a_likelihood_family_has_its_two_terms(family: str) -> None:
    model = build(family)
    if not isinstance(model, LikelihoodFamily):
        return
    terms = model.elbo(*batch(model))
    assert (terms["kl"] >= 0).all() and (terms["reconstruction"] >= 0).all()


@pytest.mark.parametrize("family", TRAINED)
def test_the_terms_of_a_set_family_are_those_of_its_bound(family: str) -> None:
    model = build(family).eval()
    if not isinstance(model, SetFamily):
        return
    items, noise = batch(model)
    sets = items.images  # type: ignore[union-attr]
    terms, losses, members = (
        model.terms(sets, noise, model.encode(sets)),
        model.elbo(items, noise),
        sets.shape[1],
    )
    torch.testing.assert_close(losses["reconstruction"], -terms.log_likelihood.mean(1))
    torch.testing.assert_close(losses["kl"], (terms.kl_c.sum(1) + terms.kl_z.sum((1, 2))) / members)
    torch.testing.assert_close(losses["kl"], losses["kl_c"] + losses["kl_z"])
    for size in (1, 2, 3):  # any set size, whatever it was trained with
        few = sets[:, :1].expand(-1, size, -1, -1, -1)
        given = torch.randn(5, model.noise_size(size))
        assert model.terms(few, given).log_likelihood.shape == (5, size)
        assert model.reconstruct(few, given).shape == few.shape
        assert (
            model.draw(
                few,
                torch.randn(5, *model.drawing_noise_shape[:-1], model.noise_size(size)),
                model.config.drawing,
            ).shape
            == few.shape
        )
        for weights in model.attention(few, given).values():
            torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


def test_noise_has_the_ink_of_the_data_or_the_ink_asked_for() -> None:
    data = drawings_data()
    ink = data.images[data.rows(data.train)].mean()
    exemplars = np.arange(0, 180, 6)
    assert build("noise").draw(data, exemplars, 50, 0).images.mean() == pytest.approx(ink, abs=0.01)
    assert build("noise", ink=0.5).draw(data, exemplars, 50, 0).images.mean() == pytest.approx(
        0.5, abs=0.01
    )


# --- a family file says all that is read of it
# -----------------------------------------------------------------------------

MADE = '''"""mine: a made family."""
from dataclasses import dataclass
from oneshot import contracts
from oneshot.contracts import {base}
from oneshot.sweep.settings import setting
VERSION = 1
@dataclass(frozen=True)
class Config:
    z: int = setting(3, "model", "size", low=1)
{fields}
VARIANTS = {{"tiny": {{}}}}
class Mine({base}): ...
FAMILY = Mine
'''
TRAINING = {
    "epochs": '    epochs: int = setting(5, "train", "passes", low=1, shapes=True)',
    "batch_size": '    batch_size: int = setting(8, "train", "items", low=1, shapes=True)',
    "plateau": '    plateau: int = setting(0, "train", "epochs", low=0)',
    "schedule_classes": (
        '    schedule_classes: str = setting("test", "train", "which", choices=("validation",'
        ' "test"), shapes=True)'
    ),
    "weights": '    weights: str = setting("end", "sample", "which", choices=("end", "best"))',
}
OF_SETS = {
    "set_size": '    set_size: int = setting(5, "train", "images", low=1, shapes=True)',
    "augmented_copies": "    @property\n    def augmented_copies(self): return 0",
    "binarisation": (
        '    binarisation: str = setting("threshold", "data", "how", choices=("stochastic",'
        ' "threshold"))'
    ),
    "likelihood": (
        '    likelihood: str = setting("none", "score", "how", choices=("none", "elbo", "nll"))'
    ),
    "nll_samples": '    nll_samples: int = setting(9, "score", "samples")',
    "nll_sets": '    nll_sets: int = setting(0, "score", "sets")',
    "nll_size": '    nll_size: int = setting(0, "score", "size")',
    "test_sets": '    test_sets: int = setting(0, "score", "sets")',
    "transfer": (
        '    transfer: str = setting("none", "score", "digits", choices=("none", "mnist",'
        ' "digits"))'
    ),
    "classify": '    classify: bool = setting(False, "score", "digits")',
}
OF_SHOTS = {
    "shots": '    shots: int = setting(1, "sample", "images")',
    "shot_seed": '    shot_seed: int = setting(0, "sample", "of the choice")',
}
EXPLAINED = {"importance_seeds": '    importance_seeds: int = setting(0, "score", "draws")'}


@pytest.fixture
def made_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], families.Declaration]:
    """Reads the text of a family file as the only one of a package of its own."""

    def read(text: str) -> families.Declaration:
        package = Path(tempfile.mkdtemp(dir=tmp_path))  # what was read of a file stays
        (package / "models").mkdir()
        (package / "models" / "mine.py").write_text(text)
        with monkeypatch.context() as patch:
            patch.setattr(families, "PACKAGE", package)
            return families.declaration("models", "mine")

    return read


MadeFamily = Callable[[str], families.Declaration]
BASES = [
    ("TrainedFamily", TRAINING),
    ("contracts.TrainedFamily", TRAINING),
    ("LikelihoodFamily", TRAINING),
    ("ShotFamily", TRAINING | OF_SHOTS),
    ("ExplainedFamily", TRAINING | EXPLAINED),
    ("SetFamily", TRAINING | OF_SETS),
]


@pytest.mark.parametrize(("base", "needed"), BASES, ids=[base for base, _ in BASES])
def test_settings_that_a_made_family_lacks_are_named_all_at_once(
    base: str, needed: dict[str, str], made_family: MadeFamily
) -> None:
    text = MADE.replace("import {base}", "import *") if "." in base else MADE
    with pytest.raises(settings.SettingError) as caught:
        made_family(text.format(base=base, fields=""))
    (problem,) = caught.value.problems
    first, *lines, hint = problem.split("\n")
    assert hint.strip() == requirements.BASE_HINT
    assert (
        first
        == "models/mine.py: Config lacks settings that training, drawing or scoring read. It needs"
    )
    assert [line.split(":")[0].strip() for line in lines] == list(needed)
    assert made_family(text.format(base=base, fields="\n".join(needed.values()))).version == 1
    for name in needed:  # each of them alone is missed
        with pytest.raises(settings.SettingError, match=f"It needs\n  {name}: "):
            made_family(
                text.format(
                    base=base, fields="\n".join(line for n, line in needed.items() if n != name)
                )
            )


def test_what_is_told_of_missing_settings_is_what_helps(made_family: MadeFamily) -> None:
    """The lines of the message, with a default in place of the dots, are a Config."""
    defaults = {"int": "1", "bool": "False", "str": '"end"'}
    with pytest.raises(settings.SettingError) as caught:
        made_family(MADE.format(base="SetFamily", fields=""))
    fields = []
    for line in caught.value.problems[0].split("\n")[1:-1]:
        name, kind, call = re.fullmatch(r"  (\w+): (\w+) = (setting\(.*\)): .*", line).groups()  # type: ignore[union-attr]
        choices = re.search(r"choices=(\(.*?\))", call)
        default = repr(ast.literal_eval(choices[1])[0]) if choices else defaults[kind]
        fields.append(
            f"    {name}: {kind} = " + re.sub(r'\.\.\., ("\w+")', rf'{default}, \1, "help"', call)
        )
    assert len(fields) == 15 and "shapes=True" in fields[0]
    made_family(MADE.format(base="SetFamily", fields="\n".join(fields)))


def test_a_config_may_derive_from_the_settings_of_training(made_family: MadeFamily) -> None:
    text = MADE.format(base="TrainedFamily", fields="").replace(
        "class Config:", "class Config(TrainingSettings):"
    )
    fields = made_family(text).fields
    assert list(fields) == [*TRAINING, "z"]
    own = text.replace("    z:", '    plateau: int = setting(4, "train", "epochs", low=0)\n    z:')
    assert made_family(own).fields["plateau"].default == 4


def test_a_family_that_learns_nothing_needs_none_of_them(made_family: MadeFamily) -> None:
    assert list(made_family(MADE.format(base="ReferenceFamily", fields="")).fields) == ["z"]


def test_a_family_through_classes_of_its_own_is_known_as_what_it_is(
    made_family: MadeFamily,
) -> None:
    text = MADE.format(base="TrainedFamily", fields="").replace(
        "class Mine(TrainedFamily): ...", "class A(TrainedFamily): ...\nclass Mine(A): ..."
    )
    with pytest.raises(settings.SettingError, match="epochs"):
        made_family(text)


@pytest.mark.parametrize(
    ("name", "line", "told"),
    [
        (
            "epochs",
            '    epochs: float = setting(5.0, "train", "passes", shapes=True)',
            'epochs must be int = setting(..., "train", shapes=True)',
        ),
        (
            "epochs",
            '    epochs: int = setting(5, "sample", "passes")',
            'epochs must be int = setting(..., "train", shapes=True)',
        ),
        (
            "epochs",
            '    epochs: int = setting(5, "train", "passes")',
            "epochs needs shapes=True: all members of a stack take it from the first",
        ),
        (
            "weights",
            '    weights: str = setting("end", "score", "which", choices=("end", "best"))',
            'weights must be str = setting(..., "sample"',
        ),
        (
            "weights",
            '    weights: str = setting("last", "sample", "which", choices=("last",))',
            "weights must be",
        ),
        ("weights", '    weights: str = setting("end", "sample", "which")', "weights must be"),
        (
            "schedule_classes",
            (
                '    schedule_classes: str = setting("all", "train", "which", choices=("all",),'
                " shapes=True)"
            ),
            "schedule_classes must be",
        ),
        (
            "",
            '    precision: str = setting("tf32", "train", "of products")',
            "precision needs shapes=True",
        ),
        ("", "    depth: int = 3", "depth must be declared by setting(default, stage, help)"),
        (
            "",
            '    depth: list = setting((), "model", "levels")',
            "depth has the type list; settings are int, float, bool, str",
        ),
        (
            "",
            '    depth: int = setting(0, "model", "levels", low=1)',
            "the default depth = 0 is outside 1 .. ",
        ),
        (
            "",
            '    dataset: str = setting("a", "data", "images")',
            "dataset cannot be the name of a setting",
        ),
        (
            "",
            '    limit: int = setting(1, "train", "most")',
            "limit cannot be the name of a setting",
        ),
        (
            "",
            '    depth: int = setting(DEPTH, "model", "levels")',
            "NameError: name 'DEPTH' is not defined",
        ),
        ("", "    depth: int = setting(", "models/mine.py, line "),
    ],
)
def test_a_made_family_that_is_not_what_is_needed_is_told_what_is(
    name: str, line: str, told: str, made_family: MadeFamily
) -> None:
    lines = "\n".join((TRAINING | {name or "more": line}).values())
    with pytest.raises(settings.SettingError) as caught:
        made_family(MADE.format(base="TrainedFamily", fields=lines))
    (problem,) = caught.value.problems
    assert problem.startswith("models/mine.py") and told in problem


@pytest.mark.parametrize(
    ("given", "instead", "told"),
    [
        ("VERSION = 1", "", "VERSION must be a whole number from 1"),
        ("VERSION = 1", "VERSION = '1'", "VERSION must be a whole number from 1"),
        ("@dataclass(frozen=True)", "", "Config must be a class with @dataclass(frozen=True)"),
        (
            '{"tiny": {}}',
            '{"tiny": {"zz": 3}}',
            "variant 'tiny': there is no setting 'zz'. Did you mean 'z'?",
        ),
        ('{"tiny": {}}', '{"tiny": {"z": 0}}', "variant 'tiny': z = 0 is outside 1 .. "),
    ],
)
def test_the_rest_of_a_family_file_is_checked_when_it_is_read(
    given: str, instead: str, told: str, made_family: MadeFamily
) -> None:
    text = MADE.format(base="TrainedFamily", fields="\n".join(TRAINING.values()))
    assert given in text and made_family(text)
    with pytest.raises(settings.SettingError) as caught:
        made_family(text.replace(given, instead))
    assert (
        caught.value.problems == [p for p in caught.value.problems if told in p]
        and len(caught.value.problems) == 1
    )


def test_an_incomplete_family_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "package"
    shutil.copytree(families.PACKAGE / "critics", package / "critics")
    shutil.copytree(
        families.PACKAGE / "data", package / "data", ignore=shutil.ignore_patterns("*.npz")
    )
    (package / "models").mkdir()
    (package / "models" / "mine.py").write_text(
        MADE.format(base="TrainedFamily", fields=TRAINING["epochs"])
    )
    sweep = tmp_path / "ask.py"
    sweep.write_text(
        "from oneshot.sweep import Sweep, grid\nsweep = Sweep('?', 'mine', grid(z=[1]),"
        " references=())\n"
    )
    monkeypatch.setattr(families, "PACKAGE", package)
    for arguments in (
        [str(sweep), "--check", "--results", str(tmp_path / "r")],
        ["--settings", "mine"],
    ):
        assert cli.main(arguments) == 2
        err = capsys.readouterr().err
        assert (
            err.startswith("error: models/mine.py: Config lacks settings")
            and err.count("error: ") == 1
        )
        assert (
            all(f"  {name}: " in err for name in TRAINING if name != "epochs")
            and "  epochs: " not in err
        )


def test_all_that_is_read_of_a_config_is_in_the_list_of_needs() -> None:
    """So that the list cannot fall behind: attributes of `config`, and settings of a point, in the
    modules around a family.
    """
    known = {name for group in requirements.NEEDED.values() for name in group} | {"problems"}
    read = set()
    for file in (
        file
        for room in ("training", "scoring", "trial")
        for file in (families.PACKAGE / room).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and ast.unparse(node.value).split(".")[-1] == "config"
            ):
                read.add(node.attr)
            if (
                isinstance(node, ast.Subscript)
                and ast.unparse(node.value) == "point.settings"
                and isinstance(node.slice, ast.Constant)
            ):
                read.add(node.slice.value)
    common = {f.name for f in dataclasses.fields(settings.Common)}
    optional = {"weights_file"}  # read of points that name one
    compiler = {"recompile_limit", "accumulated_recompile_limit"}  # of torch's own config
    assert (
        read - common - compiler - optional <= known
        and {"epochs", "batch_size", "plateau", "schedule_classes", "weights", "set_size"} <= read
    )
