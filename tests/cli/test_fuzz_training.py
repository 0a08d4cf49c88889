"""As test_fuzz_models.py, for the stages that train."""

from __future__ import annotations

import pytest
from fuzz import fuzzed
from test_fuzz import MUTATIONS
from test_fuzz_models import TRAINING

pytestmark = pytest.mark.full


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", TRAINING)
def test_ten_thousand_mutations_end_as_documented(name: str) -> None:
    fuzzed("test_fuzz_models", [name], mutations=MUTATIONS)
