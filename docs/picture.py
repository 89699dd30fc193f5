"""The picture of the README: ten drawings each by people and three models, beside the plane.

    for sweep in docs/picture/picture_*.py; do python run_sweep.py $sweep --local; done
    python docs/picture.py results

It writes docs/picture.png, and its numbers to docs/picture.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).parent
SWEEPS = ("picture_vae_stn", "picture_set_vae")
DRAWINGS = 10
# who, the row that it is, and its colour; the sweep of the first has the references
ROWS = (
    ("people", "picture_vae_stn", "model == 'human'", "#D55E00"),
    ("VAE-STN, beta 0.1", "picture_vae_stn", "beta == 0.1", "#0072B2"),
    ("VAE-STN, beta 1", "picture_vae_stn", "beta == 1.0", "#0072B2"),
    ("Neural Statistician", "picture_set_vae", "set_size == 5", "#009E73"),
    ("copies", "picture_vae_stn", "model == 'copy'", "black"),
    ("noise", "picture_vae_stn", "model == 'noise'", "black"),
)
DRAWN = ("people", "VAE-STN, beta 0.1", "VAE-STN, beta 1", "Neural Statistician")
MARKERS = {"people": "*", "copies": "s", "noise": "x"}
COLUMNS = ["diversity", "diversity_se", "recognizability", "recognizability_se", "human_distance"]


def table(results: Path) -> pd.DataFrame:
    """The rows that the picture shows."""
    points = {name: pd.read_parquet(results / name / "points.parquet") for name in SWEEPS}
    rows = [points[sweep].query(condition).iloc[0] for _, sweep, condition, _ in ROWS]
    frame = pd.DataFrame(rows).reset_index(drop=True)
    frame.insert(0, "who", [who for who, *_ in ROWS])
    return frame


def best_recognised(results: Path, people: pd.Series) -> str:
    """The class whose drawings by people are recognised most often; the first name of several."""
    classes = pd.read_parquet(results / SWEEPS[0] / "classes.parquet")
    mine = classes[classes.point_id == people.point_id].sort_values("class_name")
    return str(mine.loc[mine.recognizability.idxmax(), "class_name"])


def drawings(results: Path, sample_id: str, class_name: str) -> tuple[np.ndarray, np.ndarray]:
    """The exemplar of a class, [H, W], and the drawings of it, [N, H, W], ink 1.

    Args:
        results: Folder of the results.
        sample_id: Whose drawings.
        class_name: Of which class.

    Returns:
        The exemplar and the drawings.
    """
    with np.load(results / "store" / "drawings" / sample_id / "drawings.npz") as kept:
        height, width = (int(side) for side in kept["shape"])
        packed = [kept[array] for array in ("packed", "exemplars")]
        bits = [np.unpackbits(p, axis=1)[:, : height * width] for p in packed]
        images, exemplars = (b.reshape(-1, height, width) for b in bits)
        number = [str(name) for name in kept["class_names"]].index(class_name)
        return exemplars[number], images[kept["label"] == number]


def strip(images: np.ndarray, gap: int = 2) -> np.ndarray:
    """Images side by side with paper between them, as greys."""
    framed = np.pad(images.astype(float), ((0, 0), (gap, gap), (gap, gap)))
    return 1 - np.concatenate(list(framed), axis=1)


def draw_plane(panel: Axes, frame: pd.DataFrame) -> None:
    """Diversity across and recognizability up, with standard errors and names."""
    for (who, *_, colour), row in zip(ROWS, frame.itertuples()):
        panel.errorbar(
            row.diversity,
            row.recognizability,
            xerr=row.diversity_se,
            yerr=row.recognizability_se,
            fmt=MARKERS.get(who, "o"),
            color=colour,
            markersize=11 if who == "people" else 6,
            elinewidth=0.8,
        )
        left = who in ("VAE-STN, beta 1", "VAE-STN, beta 0.1")
        below = who in ("VAE-STN, beta 0.1", "Neural Statistician")
        panel.annotate(
            who,
            (row.diversity, row.recognizability),
            (-7 if left else 7, -11 if below else 5),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=8,
            color=colour,
        )
    panel.axhline(5, color="0.6", linewidth=0.8, linestyle=":")
    panel.text(0.002, 6, "chance", fontsize=7, color="0.4")
    panel.set(xlim=(-0.015, 0.45), ylim=(0, 106))
    panel.set_xlabel("diversity")
    panel.set_ylabel("recognizability (per cent)")
    panel.spines[["top", "right"]].set_visible(False)


def main(results: Path, target: Path = HERE) -> None:
    """Write picture.png and picture.csv.

    Args:
        results: Folder with the results of SWEEPS.
        target: Folder to write to.
    """
    frame = table(results)
    name = best_recognised(results, frame.iloc[0])
    plt.rcParams.update({"font.size": 9, "font.family": "DejaVu Sans"})
    figure = plt.figure(figsize=(9.2, 2.9), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.62, 1])
    panels = left.subplots(len(DRAWN), 2, width_ratios=[1, DRAWINGS])
    for line, who in enumerate(DRAWN):
        row = frame[frame.who == who].iloc[0]
        exemplar, images = drawings(results, row.sample_id, name)
        for panel in panels[line]:
            panel.set_axis_off()
        if line == 0:
            panels[line, 0].imshow(strip(exemplar[None]), cmap="gray", interpolation="nearest")
            panels[line, 0].set_title(f"exemplar\n({name})", fontsize=8)
        panels[line, 1].imshow(strip(images[:DRAWINGS]), cmap="gray", vmin=0, vmax=1)
        panels[line, 1].set_title(who, fontsize=8.5, loc="left", pad=2)
    draw_plane(right.subplots(), frame)
    figure.savefig(target / "picture.png", dpi=150, metadata={"Software": None})
    shown = frame[["who", "model", *COLUMNS]].round(4)
    shown["exemplar"] = name
    shown.to_csv(target / "picture.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "results"))
