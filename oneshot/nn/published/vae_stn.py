"""Files of VAE-STN as Boutin et al. (2022) published it (https://arxiv.org/abs/2205.10370)."""

from __future__ import annotations

from oneshot.nn.published.file_format import NamedFormat
from oneshot.nn.published.layout import Layout

# The published window is (a, b, c, d, tx, ty), ours has the rows (a, b, tx), (c, d, ty).
WINDOW = Layout(rows=(0, 1, 4, 2, 3, 5))

FORMAT = NamedFormat(
    title="a published VAE-STN with these settings",
    rules=(
        (r"location\.", "fc_loc."),
        (r"mean\.", "q_z_mean."),
        (r"log_variance\.", "q_z_var."),
        (r"imagette\.", "to_imagette."),
        (r"core\.", "rnn."),
    ),
    layouts={"location.4.weight": WINDOW, "location.4.bias": WINDOW},
)
