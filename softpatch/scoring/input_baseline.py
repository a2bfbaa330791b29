"""The input baseline of a view, from what its bank holds."""

from softpatch.bank import Bank
from softpatch.images.input_faults import FrameThumbnail, InputBaseline


def input_baseline_of(bank: Bank) -> InputBaseline:
    """From the calibration's image statistics and the probe frames, at the bank's geometry.

    Raises UndecodableImage for a bank whose probes are no pictures.
    """
    geometry = bank.manifest.geometry
    probes = [geometry.apply(geometry.decode(probe, max_pixels=None)) for probe in bank.probes]
    thumbnails = [FrameThumbnail.of(each) for each in probes]
    return InputBaseline.of(bank.calibration_statistics, thumbnails, bit_depth=geometry.bit_depth)
