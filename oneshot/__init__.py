"""oneshot: sweeps of one-shot generative models, placed on the plane of diversity and
recognizability.
"""

__version__ = "0.1.0"
