"""`vae_removed` on Fashion-MNIST at a budget of a few minutes of two processor cores.

2 sizes of z x 3 numbers of shots x 10 removed classes, 60 points; 5 epochs of 700 images a class.
"""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Which garments does a small VAE draw that it never saw, and what do shots change?",
    model="mlp_vae",
    points=grid(split=[f"without_{i}" for i in range(10)], z=[2, 3], shots=[0, 1, 4]),
    fixed=dict(
        dataset="fashion_mnist",
        image_size=28,
        images_per_class=700,
        epochs=5,
        drawings_per_class=100,
    ),
    references=(),
)
