"""What a payout address got: asked by the wallet that holds its key, answered to anybody, since the chain says the same."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketplace.settlement import addresses, selectors


@extend_schema(responses=OpenApiTypes.OBJECT, tags=["money"])
class Payouts(APIView):
    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]

    def get(self, request: Request, address: str) -> Response:
        """`paid` and `pending` in base units as decimal strings; `next_epoch` and `note` say when and why not at once."""
        return Response(selectors.payouts_for(addresses.checked(address)))
