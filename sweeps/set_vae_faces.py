"""Sets of faces in colour: CelebA at 64 x 64, identities as classes, logistic mixtures.

Needs CelebA (docs/own_data.md).
"""

from oneshot.sweep import Sweep, points

sweep = Sweep(
    question="Do a hierarchy and learned pooling help with faces as they do with characters?",
    model="set_vae",
    points=points(
        [dict(variant="cns"), dict(variant="ctns"), dict(variant="chfsgm"), dict(variant="cthfsgm")]
    ),
    fixed=dict(
        dataset="celeba",
        split="identities",
        image_size=64,
        pixels="logistic_mixture",
        hidden=256,
        batch_size=50,
        augmented_copies=0,
        drawings_per_class=4,
    ),
)
