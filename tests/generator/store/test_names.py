from __future__ import annotations

from medim_forge.generator.store import protocol


def test_processes_whose_numbers_mean_something_else_are_of_another_host(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "pod-1")
    names = []
    for space in (None, 0xEFFFFFFC, 0xF0000123, 0xF0000124):
        monkeypatch.setattr(protocol, "process_space", lambda space=space: space)
        names.append(protocol.host_name())
    assert names == ["pod_1", "pod_1", "pod_1.f0000123", "pod_1.f0000124"]
