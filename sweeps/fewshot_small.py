"""The question of `fewshot_modes` at a budget of under half an hour of two processor cores.

Two class splits, two numbers of shots, three modes, with and without unlabelled images: 24 tunings
of 2 pre-trainings, which see 100 images of each of 37 base classes of EMNIST. Networks are half as
wide as published.
"""

from oneshot.sweep import Sweep, points

sweep = Sweep(
    question="Do shots, modes and unlabelled images already matter to a small GAN?",
    model="class_gan",
    variant="small",
    points=points(
        [
            dict(split=split, shots=k, g_mode=mode, d_mode=mode, semi=semi, tune_alpha=alpha)
            for split in ("classes_0", "classes_1")
            for k in (5, 25)
            for mode in ("embed", "linear", "all")
            for semi, alpha in ((False, 0.0), (True, 1.0))
        ]
    ),
    fixed=dict(
        dataset="emnist",
        image_size=32,
        images_per_class=100,
        # few steps learn more with larger ones
        learning_rate=5e-4,
        tune_rate=5e-4,
        epochs=40,
        epoch_steps=100,
        tune_steps=300,
        tune_batch=16,
        drawings_per_class=100,
        generated_per_class=100,
    ),
    critics=dict(
        base_classifier=dict(width=16, epochs=4, images_per_class=100, learning_rate=1e-3)
    ),
    references=("real",),
)
