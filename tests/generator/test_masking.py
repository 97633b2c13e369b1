"""Credentials are refused where they are given, and are in no message, whoever wrote it."""

from __future__ import annotations

import pytest

from medim_forge.generator.errors import MedimError, RowError, SpecError, StoreError
from medim_forge.generator.executors.cluster.connection import connected
from medim_forge.generator.jobspec import parse_spec
from medim_forge.generator.masking import holds_credentials, masked
from medim_forge.generator.store import store_at
from medim_forge.generator.tracing import one_line, portable_traceback
from tests.doubles.toy_replica import toy_job

PLANTED = "hunter2-planted"
ADDRESSES = (
    f"s3://key:{PLANTED}@bucket/prefix",
    f"https://{PLANTED}@host/x",
    f"s3://bucket/x?X-Amz-Signature={PLANTED}&X-Amz-Date=1",
    f"http://user:p%40{PLANTED}@localhost:9000",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_shows_where_and_not_with_what(address):
    shown = masked(f"{address}: cannot be used ('{address}', then {address})")
    assert PLANTED not in shown
    assert shown.count("***") == 3
    assert holds_credentials(address)


@pytest.mark.parametrize(
    "text", ["s3://bucket/prefix", "row 3: 10:30 @ noon", "Is it there? Yes.", "a@b.example", "http://localhost:9000/x"]
)
def test_other_text_stays_as_it_is(text):
    assert masked(text) == text
    assert not holds_credentials(text)


def test_an_address_without_a_scheme_is_masked_too():
    assert masked(f"RAY_ADDRESS = 'user:{PLANTED}@10.0.0.1:6379': no") == "RAY_ADDRESS = '***@10.0.0.1:6379': no"


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN", "DB_PASSWORD"])
def test_what_a_variable_holds_is_in_no_error_and_no_traceback(name, monkeypatch):
    monkeypatch.setenv(name, PLANTED)
    for error in (StoreError(f"said {PLANTED}"), RowError("id", f"said {PLANTED}")):
        assert PLANTED not in str(error)
    inner = ValueError(f"no access with {PLANTED}")
    assert PLANTED not in one_line(inner)
    assert PLANTED not in portable_traceback(inner)


def test_a_path_in_a_variable_that_is_called_after_a_secret_is_none(monkeypatch):
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token-of-the-machine")
    assert masked("see /var/run/token-of-the-machine") == "see /var/run/token-of-the-machine"


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_job_with_credentials_is_refused_and_does_not_repeat_them(address, tmp_path):
    with pytest.raises(SpecError, match="holds credentials, and a job file is kept") as caught:
        toy_job(tmp_path, output={"dir": address})
    assert PLANTED not in str(caught.value)
    with pytest.raises(SpecError, match="holds credentials") as caught:
        parse_spec({"kind": "generate", "model": {"checkpoint": address}}, source="x.yaml")
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("address", ADDRESSES[:3])
def test_a_dataset_named_with_credentials_is_refused(address):
    with pytest.raises(StoreError, match="leave the credentials out of the address") as caught:
        store_at(address)
    assert PLANTED not in str(caught.value)


def test_a_dead_ray_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", f"user:{PLANTED}@127.0.0.1:1")
    with pytest.raises(MedimError) as caught, connected():
        pass
    assert PLANTED not in str(caught.value)
