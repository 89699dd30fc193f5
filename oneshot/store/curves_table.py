"""The table of training curves: every column with its type and what it holds."""

from __future__ import annotations

from oneshot.store.columns import POINT_ID, Column, Table

CURVES = Table(
    "curves",
    "one row a point and epoch; losses are means over items (likelihoods in nats)",
    (
        POINT_ID,
        Column("epoch", "int", "epoch, from 0"),
        Column("train_loss", "float", "training loss"),
        Column("train_reconstruction", "float", "reconstruction term, training items"),
        Column("train_kl", "float", "divergence of all latents, training items"),
        Column("train_kl_c", "float", "divergence of the context, training items"),
        Column("train_kl_z", "float", "divergence of image latents, training items"),
        Column("train_wasserstein", "float", "the GAN critic's distance of real and drawn"),
        Column("train_penalty", "float", "gradient penalty of the GAN critic, unweighted"),
        Column("train_adversarial", "float", "loss of telling real from drawn points"),
        Column("train_classification", "float", "class loss of the discriminator"),
        Column("train_distance", "float", "FIGR: half the squared way of adapting"),
        Column("train_discriminator", "float", "FIGR: discriminator, mean of the steps"),
        Column("train_generator", "float", "FIGR: generator, mean of the steps"),
        Column("train_generator_loss", "float", "loss of the GAN generator"),
        Column("train_information", "float", "InfoGAN: loss of recovery, unweighted"),
        Column("train_generator_adversarial", "float", "InfoGAN: of the generator"),
        Column("train_generator_information", "float", "InfoGAN: recovery, generator"),
        Column("train_generator_creativity", "float", "cross entropy with no class"),
        Column("validation_loss", "float", "loss on validation classes, every weight at 1"),
        Column("validation_reconstruction", "float", "reconstruction term, validation items"),
        Column("validation_kl", "float", "divergence of all latents, validation items"),
        Column("validation_kl_c", "float", "divergence of the context, validation items"),
        Column("validation_kl_z", "float", "divergence of image latents, validation items"),
        Column("validation_distance", "float", "FIGR: the way of adapting, validation"),
        Column("validation_discriminator", "float", "FIGR: discriminator, validation"),
        Column("validation_generator", "float", "FIGR: generator, validation items"),
        Column("validation_wasserstein", "float", "the GAN critic's distance, validation"),
        Column("validation_penalty", "float", "gradient penalty, validation items"),
        Column("validation_adversarial", "float", "of real and drawn, validation items"),
        Column("validation_classification", "float", "class loss, validation items"),
        Column(
            "validation_generator_creativity",
            "float",
            "cross entropy with no class, validation items",
        ),
        Column(
            "validation_generator_loss",
            "float",
            "loss of the GAN generator, validation items",
        ),
        Column("validation_information", "float", "InfoGAN: recovery, validation items"),
        Column("validation_generator_adversarial", "float", "InfoGAN: of the generator"),
        Column("validation_generator_information", "float", "InfoGAN: its recovery"),
        Column("learning_rate", "float", "learning rate after the epoch"),
    ),
)
