"""What a model family must do.

A family file in models/ holds a `Config`, a `VERSION`, `VARIANTS` with a `tiny` one, and one
`FAMILY`. A Config whose settings depend on each other has a method `problems`, which names every
combination that cannot be. A family that models more than bits, or other things, says which
`KINDS` of data it models.

A trained family obeys five rules, so that one loop trains them all and many points train as one
stack (`training/stack.py`):

- noise and train-stage hyperparameters come in as arguments;
- there is no control flow that depends on data;
- there is no state but parameters and buffers, which only a training pass forward may change;
- there is no global random state;
- there is no operator without a batching rule for vmap.

`tests/models/test_contract.py` and `tests/models/test_meta_device.py` hold every family to them.

`batches.py` holds what a model trains on, `family.py` the families, `set_family.py` those of sets.
"""

from oneshot.contracts.batches import (
    Features,
    Hyper,
    Items,
    Labelled,
    Losses,
    Pairs,
    Sets,
    Weights,
)
from oneshot.contracts.family import (
    ExplainedFamily,
    LikelihoodFamily,
    Player,
    ReferenceFamily,
    SheetFamily,
    ShotFamily,
    TrainedFamily,
    TunedFamily,
)
from oneshot.contracts.set_family import SetFamily, SetTerms

__all__ = [
    "ExplainedFamily",
    "Features",
    "Hyper",
    "Items",
    "Labelled",
    "LikelihoodFamily",
    "Losses",
    "Pairs",
    "Player",
    "ReferenceFamily",
    "SetFamily",
    "SetTerms",
    "Sets",
    "SheetFamily",
    "ShotFamily",
    "TrainedFamily",
    "TunedFamily",
    "Weights",
]
