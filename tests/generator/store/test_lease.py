"""One command at a time on a dataset in an object store: refused, waited for, taken over, and fenced off."""

from __future__ import annotations

import json
import threading
import time

import pytest

from medim_forge.generator.errors import StoreError
from medim_forge.generator.store import lease
from medim_forge.generator.store.s3 import ObjectStore

pytestmark = pytest.mark.slow


@pytest.fixture
def stores(url):
    """Two processes' views of one dataset."""
    return ObjectStore(url), ObjectStore(url)


def _draft(store: ObjectStore) -> None:
    with store.draft("x") as path:
        path.write_text("x")


def test_a_second_command_is_refused_or_waits(stores, monkeypatch):
    monkeypatch.setattr(lease, "_POLL_S", 0.05)
    first, second = stores
    order = []

    def wait() -> None:
        with second.lock("run", wait=True):
            order.append("second")

    with first.lock("refilter", wait=False):
        with (
            pytest.raises(StoreError, match=r"`medim refilter` on .* is at work on the whole dataset"),
            second.lock("privacy", wait=False),
        ):
            pass
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.3)
        order.append("first")
    waiting.join(20)
    assert order == ["first", "second"]
    assert first.files("lock") == ["lock/000002"]


def test_a_lease_that_is_not_renewed_is_taken_over_and_its_holder_writes_no_more(stores, monkeypatch):
    first, second = stores
    monkeypatch.setattr(lease, "host_name", lambda: "elsewhere")
    holding = first.lock("refilter", wait=False)
    holding.__enter__()
    monkeypatch.setattr(lease, "host_name", lambda: "here")
    with pytest.raises(StoreError, match="on elsewhere, process"), second.lock("privacy", wait=False):
        pass
    monkeypatch.setattr(lease, "LEASE_S", -1.0)
    with second.lock("privacy", wait=False):
        second.mark("theirs")
        for write in (lambda: first.mark("x"), lambda: first.remove("theirs"), lambda: _draft(first)):
            with pytest.raises(StoreError, match="another command took the dataset over"):
                write()
    assert second.exists("theirs")
    holding.__exit__(None, None, None)


def test_the_lease_of_a_dead_process_of_this_host_is_taken_at_once(stores):
    first, second = stores
    holder = {"command": "refilter", "host": lease.host_name(), "process": "999999.1.x", "owner": "gone"}
    first._client.put("lock/000001", json.dumps(holder).encode())
    with second.lock("privacy", wait=False):
        assert second.files("lock") == ["lock/000002"]
    with first.lock("run", wait=False):
        assert first.files("lock") == ["lock/000003"]


def test_one_that_was_taken_over_can_neither_write_nor_end_a_later_lease(stores, url, monkeypatch):
    first, second = stores
    third, fourth = ObjectStore(url), ObjectStore(url)
    monkeypatch.setattr(lease, "host_name", lambda: "elsewhere")
    stalled = first.lock("refilter", wait=False)
    stalled.__enter__()
    monkeypatch.setattr(lease, "LEASE_S", -1.0)
    with second.lock("privacy", wait=False):
        pass
    monkeypatch.setattr(lease, "LEASE_S", 120.0)
    with third.lock("run", wait=False):
        with pytest.raises(StoreError, match="another command took the dataset over"):
            first.mark("x")
        stalled.__exit__(None, None, None)
        with pytest.raises(StoreError, match="`medim run` on elsewhere"), fourth.lock("privacy", wait=False):
            pass
        third.mark("theirs")
    assert first.exists("theirs")
    assert not first.exists("x")
