"""A first look in three minutes on two cores: small VAE-STNs on the embedded Quick, Draw!."""

from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What does beta do to drawings of concepts seen once?",
    model="vae_stn",
    points=grid(beta=[0.01, 0.03, 0.1, 0.3, 1.0, 4.0]),
    fixed=dict(
        # clusters of drawings that are alike: people recognise them
        dataset="quickdraw_clusters",
        split="fixed",
        image_size=28,
        # few steps, whose window can show every pixel of the image, learn most in a minute
        time_steps=3,
        glimpse=28,
        z=24,
        lstm_size=128,
        hidden=96,
        epochs=5,
        batch_size=32,
        learning_rate=2e-3,
    ),
    critics=dict(
        simclr=dict(epochs=3, batch_size=64, batches_per_epoch=50, strength="light"),
        protonet=dict(epochs=4, episodes_per_epoch=60, train_queries=1, halve_every=1),
    ),
)
