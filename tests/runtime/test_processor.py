"""What is read of /proc/cpuinfo."""

import pytest

from nlpcli.runtime.processor import multiplies_bfloat16, read_processor

TEXT = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: {model}
flags\t\t: fpu sse2 avx2 {flags}
bugs\t\t: spectre_v1

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
XEON = TEXT.format(model="Xeon: 8481C", flags="avx512f avx512_bf16 amx_bf16 amx_int8")
EPYC = TEXT.format(model="EPYC", flags="avx512f avx512_vnni avx512_bf16")
OLD = TEXT.format(model="Old", flags="")
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


def test_model_and_instructions_are_of_the_first_processor():
    found = read_processor(XEON)
    assert found.model == "Xeon: 8481C"
    assert found.told == ["amx_bf16", "avx512_bf16", "amx_int8", "avx512f", "avx2"]
    assert read_processor("").flags == frozenset()
    assert read_processor("\x00: :::\nflags").flags == frozenset()
    assert read_processor().cores >= 1


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        (XEON, {}, True),
        (EPYC, {}, True),
        (OLD, {}, False),
        (ARM, {}, False),
        ("", {}, False),
        (EPYC, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, False),
        (EPYC, {"ONEDNN_MAX_CPU_ISA": "avx512_core"}, False),
        (EPYC, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, True),
        (EPYC, {"ONEDNN_MAX_CPU_ISA": "ALL"}, True),
        (EPYC, {"TF_ENABLE_ONEDNN_OPTS": "0"}, False),
    ],
)
def test_products_of_bfloat16(text, environment, expected):
    assert multiplies_bfloat16(read_processor(text), environment) is expected
