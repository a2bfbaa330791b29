"""What a view usually looks like, as its bank remembers it."""

from softpatch.bank import Bank
from softpatch.images.decode import decode
from softpatch.images.input_faults import Look, Usual


def usual_of(bank: Bank) -> Usual:
    """From the calibration's image statistics and the probe frames, at the bank's geometry.

    Raises UndecodableImage for a bank whose probes are no pictures.
    """
    geometry = bank.manifest.geometry
    return Usual.of(bank.calibration_statistics, [Look.of(geometry.apply(decode(probe))) for probe in bank.probes])
