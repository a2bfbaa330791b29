"""What a measurement was made on."""

from __future__ import annotations

from deploy.bench.machine import cpu_flags, cpu_model

CPUINFO = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx avx2 fma avx512f\n\nprocessor\t: 1\n"


def test_the_processor_is_told_by_name_and_instruction_sets() -> None:
    """A figure without them means nothing."""
    assert cpu_model(CPUINFO) == "Some CPU @ 2 GHz"
    assert cpu_flags(CPUINFO) == ["avx", "avx2", "fma", "avx512f"]
    assert cpu_model("") == ""
    assert cpu_flags("") == []
