"""The data consumer of a demo: orders, funds, downloads every checkpoint over the site's own API, judges it on people of its own."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import numpy as np
from django.conf import settings

from collectives.terms.algorithm import parse_manifest
from collectives.training import metrics
from collectives.training.baseline import train_centrally
from collectives.training.checkpoint import read_file
from collectives.training.features import Encoder
from collectives.training.net import predict
from marketplace.demo.datasets import Dataset
from marketplace.demo.result import Metrics


class Judge:
    """Measures models on the consumer's test people; also trains the yardstick with all records in one place."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._manifest = parse_manifest(data.manifest)
        self._encoder = Encoder(data.requirement, self._manifest)
        self._x, self._y = self._encoder.encode_many(data.test)

    def measure(self, weights: Any) -> Metrics:
        """Means over the model's outputs; for one output the usual accuracy and AUC.

        AUC is taken output by output: over all at once, a model that only knows how common each output is would look good.
        """
        labels = self._y.astype(np.float64)
        scores = predict(self._manifest, weights, self._x).astype(np.float64)
        return Metrics(
            accuracy=metrics.accuracy(labels, scores),
            auc=float(np.nanmean([metrics.auc(*pair) for pair in zip(labels.T, scores.T, strict=True)])),
            log_loss=metrics.log_loss(labels, scores),
        )

    def central(self) -> Metrics:
        x, y = self._encoder.encode_many(self._data.train)
        return self.measure(train_centrally(self._manifest, x, y))

    def encoded(self, records: Sequence[Mapping[str, Any]]) -> Any:
        """float32 [n, width]: what wallets compute from these records, for the scan."""
        return self._encoder.encode_many(records)[0]


class ApiSession:
    """A signed-in consumer on the REST API."""

    def __init__(self, email: str, password: str) -> None:
        self._http = httpx.Client(
            base_url=settings.SITE_URL, timeout=30, trust_env=False, follow_redirects=True
        )
        page = self._http.get("/accounts/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token is not None
        self._http.post(
            "/accounts/login/",
            data={"login": email, "password": password, "csrfmiddlewaretoken": token[1]},
            headers={"Referer": f"{settings.SITE_URL}/accounts/login/"},
        )

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._answer(
            self._http.post(
                f"/api/v1/{path}",
                json=body,
                headers={"X-CSRFToken": self._http.cookies["csrftoken"], "Referer": settings.SITE_URL},
            )
        )

    def get(self, path: str) -> dict[str, Any]:
        return self._answer(self._http.get(f"/api/v1/{path}"))

    def download(self, job_id: uuid.UUID, number: int) -> Any:
        """The weights of a downloaded checkpoint file, its hash checked."""
        answer = self._http.get(f"/api/v1/jobs/{job_id}/checkpoints/{number}")
        answer.raise_for_status()
        return read_file(answer.content)[2]

    @staticmethod
    def _answer(answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code >= 400:
            raise RuntimeError(f"{answer.request.url.path}: {answer.status_code} {answer.text[:300]}")
        return dict(answer.json())
