"""The aggregator's server: rounds of secure aggregation and the ledger of visits. It makes no outgoing call.

For the composition roots: `routing.websocket_urlpatterns`, `urls`, `slots.SlotApp`, `openings.OPENINGS`,
`lifespan.start/stop`, Celery tasks `aggregator.sweep`, `aggregator.step_round`.
"""
