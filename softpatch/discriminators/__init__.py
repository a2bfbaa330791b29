"""Noise discriminators by name: the outlier factor of each patch of a window, from the window alone.

A new discriminator gets the whole battery of tests/contract/test_discriminators.py by being listed here.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from softpatch.discriminators.expected_nearest import ExpectedNearest
from softpatch.discriminators.gaussian import Gaussian
from softpatch.discriminators.lof import Lof
from softpatch.discriminators.nearest import NearestFrame
from softpatch.discriminators.none import NoDiscrimination
from softpatch.discriminators.protocol import Discriminator
from softpatch.settings import BuildSettings, DiscriminatorName

DISCRIMINATORS: Mapping[DiscriminatorName, Callable[[BuildSettings], Discriminator]] = MappingProxyType(
    {
        "expected-nearest": lambda _: ExpectedNearest(),
        "lof": lambda settings: Lof(k=settings.lof_k),
        "gaussian": lambda _: Gaussian(),
        "nearest": lambda _: NearestFrame(),
        "none": lambda _: NoDiscrimination(),
    }
)

__all__ = ["DISCRIMINATORS", "Discriminator", "ExpectedNearest", "Gaussian", "Lof", "NearestFrame", "NoDiscrimination"]
