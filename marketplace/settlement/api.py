"""What a payout address got: asked by the wallet that holds its key, answered to anybody, since the chain says the same."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.utils import OpenApiTypes, extend_schema
from eth_utils import is_checksum_address
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketplace.settlement import selectors
from marketplace.settlement.errors import SettlementError


@extend_schema(responses=OpenApiTypes.OBJECT, tags=["money"])
class Payouts(APIView):
    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]

    def get(self, request: Request, address: str) -> Response:
        """`paid` and `pending` in base units as decimal strings; `next_epoch` and `note` say when and why not at once."""
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", address):
            raise SettlementError("bad_address", "An address is 0x and 40 hex digits.", status=400)
        if address[2:] not in (address[2:].lower(), address[2:].upper()) and not is_checksum_address(address):
            raise SettlementError(
                "bad_checksum",
                f"{address[:8]}…{address[-4:]} is no address: its capital letters do not fit (EIP-55), so a character was "
                "typed wrongly. Copy it again.",
                status=400,
            )
        return Response(selectors.payouts_for(address))
