from __future__ import annotations

from django.urls import path

from marketplace.jobs import api
from marketplace.jobs import api_results as results

urlpatterns = [
    path("jobs", api.Jobs.as_view(), name="api-jobs"),
    path("jobs/<uuid:job_id>", api.JobDetail.as_view(), name="api-job"),
    path("jobs/<uuid:job_id>/fund", api.Fund.as_view(), name="api-job-fund"),
    path("jobs/<uuid:job_id>/pause", api.Pause.as_view(), name="api-job-pause"),
    path("jobs/<uuid:job_id>/resume", api.Resume.as_view(), name="api-job-resume"),
    path("jobs/<uuid:job_id>/stop", api.Stop.as_view(), name="api-job-stop"),
    path("jobs/<uuid:job_id>/checkpoints", results.Checkpoints.as_view(), name="api-checkpoints"),
    path(
        "jobs/<uuid:job_id>/checkpoints/<int:number>", results.CheckpointFile.as_view(), name="api-checkpoint"
    ),
    path("jobs/<uuid:job_id>/card", results.Card.as_view(), name="api-job-card"),
    path("jobs/<uuid:job_id>/rounds", results.Rounds.as_view(), name="api-job-rounds"),
    path("jobs/<uuid:job_id>/events", results.Events.as_view(), name="api-job-events"),
    path("jobs/<uuid:job_id>/compare/<uuid:other_id>", results.Compare.as_view(), name="api-job-compare"),
    path("jobs/<uuid:job_id>/metrics", results.Metrics.as_view(), name="api-metrics"),
]
