"""Mounted at `jobs/`."""

from __future__ import annotations

from django.urls import path, register_converter

from marketplace.jobs import views


class VerbConverter:
    regex = "fund|pause|resume|stop"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(VerbConverter, "job_verb")

urlpatterns = [
    path("", views.jobs, name="jobs"),
    path("new/<uuid:collective_id>/", views.order, name="order"),
    path("<uuid:job_id>/", views.job, name="job"),
    path("<uuid:job_id>/<job_verb:verb>/", views.act, name="job-act"),
    path("<uuid:job_id>/result/", views.result, name="result"),
    path("<uuid:job_id>/card/", views.card_file, name="model-card"),
    path("<uuid:job_id>/compare/", views.compare, name="compare"),
    path("<uuid:job_id>/metrics/", views.metric, name="job-metric"),
    path("<uuid:job_id>/checkpoints/<int:number>/", views.download, name="checkpoint"),
]
