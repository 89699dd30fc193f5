"""Our beta curve of VAE-STN beside the published one, in multiples of people's diversity.

    python run_sweep.py vae_stn_curve
    python benchmarks/published_curve.py results

Prints the table of benchmarks/RESULTS.md and writes its figure and the figure's numbers. The
published values are read off the figures of Boutin et al. (2022), https://arxiv.org/abs/2205.10370,
and have no errors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from matplotlib import pyplot as plt

from oneshot.report.analysis.intervals import with_intervals
from oneshot.report.results import load

SWEEP = "vae_stn_curve"
FIGURES = Path(__file__).parent / "figures"
PEOPLE = 1.286  # published diversity of people, which has no unit
# diversity, recognizability (per cent) and where on the curve, of the published models
PUBLISHED = (
    (2.68, 36.0, "lowest beta"),
    (2.05, 75.0, "beta 1"),
    (1.83, 79.0, "best"),
    (1.81, 47.0, "highest beta"),
)
PUBLISHED_PEOPLE = 97.6
OURS, THEIRS, STAR = "#0072B2", "#777777", "#D55E00"


def curve(results: Path) -> pd.DataFrame:
    """The means over seeds and critics of each beta with 95 % intervals, and the references.

    Args:
        results: folder with the results of SWEEP.

    Returns:
        Rows sorted by beta, then people, copies and noise.
    """
    read = load(results / SWEEP)
    models = with_intervals(read, read.models).sort_values("beta")
    return pd.concat([models, with_intervals(read, read.references)], ignore_index=True)


def draw(frame: pd.DataFrame, target: Path) -> None:
    """Write the figure of both curves.

    Args:
        frame: of `curve`.
        target: a PNG file.
    """
    plt.rcParams.update({"font.size": 9, "font.family": "DejaVu Sans"})
    figure, panel = plt.subplots(figsize=(6.3, 3.6), layout="constrained")
    models = frame[frame.model == "vae_stn"]
    people = frame[frame.model == "human"].iloc[0]
    x, y = models.diversity_ratio, models.recognizability
    bars = {
        f"{axis}err": [value - models[f"{name}_low"], models[f"{name}_high"] - value]
        for axis, name, value in (("x", "diversity_ratio", x), ("y", "recognizability", y))
    }
    panel.errorbar(x, y, **bars, fmt="o-", color=OURS, lw=1, elinewidth=0.8, ms=4)
    shown = models[models.beta.isin([0.0, 1.0, 4.0])]
    for row in shown.itertuples():
        place = (row.diversity_ratio, row.recognizability)
        text = f"beta {row.beta:g}"
        panel.annotate(
            text,
            place,
            (-6, -11),
            textcoords="offset points",
            color=OURS,
            fontsize=8,
            ha="right",
        )
    across = [diversity / PEOPLE for diversity, *_ in PUBLISHED]
    panel.plot(across, [up for _, up, _ in PUBLISHED], "s--", color=THEIRS, lw=1, ms=4)
    for (_, up, name), ratio in zip(PUBLISHED, across):
        text = f"published, {name}"
        panel.annotate(
            text, (ratio, up), (6, 4), textcoords="offset points", color=THEIRS, fontsize=8
        )
    panel.plot(1, people.recognizability, "*", color=STAR, ms=13)
    panel.plot(1, PUBLISHED_PEOPLE, "*", mfc="none", color=STAR, ms=13)
    panel.annotate(
        "people (hollow: published)",
        (1, people.recognizability),
        (9, -11),
        textcoords="offset points",
        color=STAR,
        fontsize=8,
    )
    panel.axhline(5, color="0.6", lw=0.8, ls=":")
    panel.set(xlabel="diversity, times people's", ylabel="recognizability (per cent)")
    panel.set(ylim=(0, 105), xlim=(0, 2.7))
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=150, metadata={"Software": None})
    plt.close(figure)


def markdown(frame: pd.DataFrame) -> str:
    """The table of means with 95 % intervals, as Markdown."""
    lines = [
        "| who | times people's diversity | recognizability % | distance |",
        "|---|---|---|---|",
    ]
    for row in frame.to_dict("records"):
        who = f"beta {row['beta']:g}" if row["model"] == "vae_stn" else row["model"]
        cells = [
            _cell(row, name, digits)
            for name, digits in (("diversity_ratio", 2), ("recognizability", 1))
        ]
        cells.append(_cell(row, "human_distance", 2))
        lines.append(f"| {who} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: dict[str, float], name: str, digits: int) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    text = f"{row[name]:.{digits}f}"
    if pd.isna(low) or pd.isna(high) or high - low < 10**-digits / 2:
        return text
    return f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def main(results: Path, target: Path = FIGURES) -> None:
    """Print the table; write the figure and its numbers.

    Args:
        results: folder with the results of SWEEP.
        target: folder to write to.
    """
    frame = curve(results)
    draw(frame, target / f"{SWEEP}_beside_published.png")
    names = ["diversity_ratio", "recognizability", "human_distance"]
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    frame[["model", "beta", "seeds", "critics", *ends]].round(4).to_csv(
        target / f"{SWEEP}_beside_published.csv", index=False, lineterminator="\n"
    )
    print(markdown(frame))


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "results"))
