"""The store of a place, whichever kind of place it is."""

from __future__ import annotations

from pathlib import Path

from medim_forge.generator.errors import StoreError
from medim_forge.generator.files import is_url
from medim_forge.generator.masking import holds_credentials
from medim_forge.generator.store.protocol import Store


def store_at(place: Path | str | Store) -> Store:
    """The store of a folder, or of `s3://bucket/prefix`.

    Raises:
        StoreError: another kind of URL.
    """
    if not isinstance(place, Path | str):
        return place
    if isinstance(place, str) and is_url(place):
        if holds_credentials(place):
            raise StoreError(
                f"{place}: leave the credentials out of the address, which ends up in messages and histories. Set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role."
            )
        if not place.startswith("s3://"):
            raise StoreError(f"{place}: is neither a folder nor s3://bucket/prefix; S3 is the one protocol.")
        from medim_forge.generator.store.s3 import ObjectStore

        return ObjectStore(place)
    from medim_forge.generator.store.local import LocalStore

    return LocalStore(Path(place))
