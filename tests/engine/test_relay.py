"""What goes wrong between Ray and the conductor reaches the caller as it was raised."""

from __future__ import annotations

import pytest
from desk import Desks

from licap.errors import StoreError
from search.engine.adapters import Relay
from search.engine.conductor import Conductor


def test_the_first_error_is_kept_and_ends_everything(desks: Desks) -> None:
    relay = Relay(desks().conductor)
    assert not relay.is_over

    def full(_: Conductor) -> bool:
        raise StoreError("record.jsonl: cannot be written (No space left on device).")

    assert relay(full, otherwise=True)
    assert relay.is_over
    assert relay(lambda conductor: conductor.finished, otherwise=True), "the conductor is not asked again"
    with pytest.raises(StoreError, match="No space left"):
        relay.raise_error()
