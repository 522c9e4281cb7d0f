"""Attacks on an algorithm before it is admitted: what a sum, a model or a crafted checkpoint would say of one person.

Django-free; `manage.py audit`, a task and the review queue are its callers. Everything is measured on sums that the wallets' own
pipeline makes (`aggregation.privacy.pipeline`), from records by chance, with dice that follow from the manifest's hash: the same
subject gives the same figures.

* `subject`: what is audited: manifest, conditions of the round, people by chance. `run`: all parts, the verdict, the report.
* parts: `form`, `fields`, `ratio`, `canaries`, `inversion`, `traps`, `membership`, `properties`, `sparsity`.
* `parts`: what a part says, its limits and its score. `bounds`: exact intervals. `bad`: algorithms that must be rejected.

docs/audit.md says what each part does, where it comes from and how its limit was chosen. Passing proves nothing beyond the parts.
"""
