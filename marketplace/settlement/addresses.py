"""Addresses as people write them."""

from __future__ import annotations

import re

from eth_utils import is_checksum_address, to_checksum_address

from marketplace.settlement.errors import SettlementError


def checked(text: str) -> str:
    """The address in its checksummed form (EIP-55). All small or all capital letters say nothing about typing errors and are taken.

    Raises:
        SettlementError: `bad_address` or `bad_checksum`; says what was wrong.
    """
    text = text.strip()
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise SettlementError(
            "bad_address",
            "An address is 0x and 40 hex digits; this has %(length)s characters. Nothing was moved.",
            status=400,
            length=len(text),
        )
    if text[2:] not in (text[2:].lower(), text[2:].upper()) and not is_checksum_address(text):
        raise SettlementError(
            "bad_checksum",
            "%(begin)s…%(end)s is no address: its capital letters do not fit (EIP-55), so a character "
            "was typed wrongly. Copy it again. Nothing was moved.",
            status=400,
            begin=text[:8],
            end=text[-4:],
        )
    return str(to_checksum_address(text))
