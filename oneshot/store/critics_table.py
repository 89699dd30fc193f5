"""The table of the critics of a sweep: every column with its type and what it holds."""

from __future__ import annotations

from oneshot.store.columns import Column, Table

CRITICS = Table(
    "critics",
    "one row a critic of the sweep: how well it does on the test classes",
    (
        Column("critic", "str", "simclr, protonet, classifier or base_classifier"),
        Column("critic_id", "str", "id of the critic"),
        Column("dataset", "str", "data set that it was trained on"),
        Column("split", "str", "split of the classes of that data set"),
        Column("image_size", "int", "height and width of the images, in pixels"),
        Column("best_epoch", "int", "epoch of the kept weights, from 1"),
        Column(
            "best_validation_loss",
            "float",
            "SimCLR: NT-Xent loss at that epoch; classifiers: cross entropy; in nats",
        ),
        Column("best_validation_recognizability", "float", "ProtoNet: the same, per cent"),
        Column("train_batch", "int", "SimCLR: drawings in a batch of the training"),
        Column("train_ways", "int", "ProtoNet: classes in an episode of the training"),
        Column("test_loss", "float", "SimCLR: NT-Xent loss on test classes, in nats"),
        Column("test_batch", "int", "SimCLR: drawings that are compared for test_loss"),
        Column("chance_loss", "float", "SimCLR: loss of a critic that knows nothing, nats"),
        Column("orthogonal_loss", "float", "SimCLR: loss of equal pairs, others orthogonal"),
        Column("test_recognizability", "float", "ProtoNet: test drawings recognised, per cent"),
        Column("test_ways", "int", "ProtoNet: classes among which it chooses in the test"),
        Column("chance_recognizability", "float", "ProtoNet: level of chance, in per cent"),
        Column(
            "test_accuracy",
            "float",
            "classifier: test images right; base_classifier: those that chose its epoch; per cent",
        ),
        Column(
            "test_images",
            "int",
            "how many these are; classifier: never seen; base_classifier: of base classes",
        ),
        Column("chance_accuracy", "float", "classifiers: level of chance, in per cent"),
        Column(
            "calibration_error",
            "float",
            "classifiers: expected distance of confidence to its accuracy, 0 to 1",
        ),
        Column("worst_class", "str", "classifiers: the class that they know least"),
        Column("worst_accuracy", "float", "classifiers: accuracy there, in per cent"),
    ),
)
