"""Learning without data: encoders, models from manifests, server optimiser, checkpoints, metrics. Django-free.

Only `net` and `baseline` import torch; a web process uses the others.
"""
