"""The distributor: knows how to reach a wallet and which wallets were drawn; never an update, an account or a payout.

For the composition roots: `routing.websocket_urlpatterns`, `urls`, `payloads.PayloadApp`, `lifespan.start/stop`,
Celery tasks `distributor.sweep`, `distributor.step_job`, `distributor.step_round`.
"""
