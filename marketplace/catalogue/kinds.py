"""Words of the ready-made kinds of algorithms, for translation; they stand in `collectives/training/catalogue/*.json`, which knows no Django."""

from __future__ import annotations

from django.utils.translation import gettext_noop

WORDS = (
    gettext_noop("Means and covariances"),
    gettext_noop("How the columns vary together; correlations and regressions follow from it."),
    gettext_noop("Embeddings and a hidden layer"),
    gettext_noop(
        "Profiles of listed values: each field of them gets a small table of its own, learned with the rest."
    ),
    gettext_noop("Extreme learning machine, by gradients"),
    gettext_noop(
        "The same features, but the last layer learns in rounds, with the loss that fits the answers."
    ),
    gettext_noop("Extreme learning machine, one round"),
    gettext_noop(
        "Fixed random features, as many as the answers of a hundred wallets allow (at most thirty); the last layer is solved from one visit to each wallet. Nothing is iterated."
    ),
    gettext_noop("Histograms"),
    gettext_noop("How each column's values spread over eight equal bins of its range."),
    gettext_noop("Linear regression"),
    gettext_noop(
        "Numbers from a weighted sum of the inputs, by rounds of gradients. One round does it with ridge-regression."
    ),
    gettext_noop("Logistic regression"),
    gettext_noop(
        "Yes-or-no answers, or one of a list, from a weighted sum of the inputs. The first thing to try."
    ),
    gettext_noop("Means and shares"),
    gettext_noop("The mean of each number and the share of each listed value, over all wallets."),
    gettext_noop("Two hidden layers, five local steps"),
    gettext_noop(
        "As mlp, for wallets that hold several records: each takes five steps and sends how far it went (federated averaging)."
    ),
    gettext_noop("Two hidden layers"),
    gettext_noop(
        "Answers that depend on combinations of inputs. Needs more visits than a linear model and a cohort large enough for its size."
    ),
    gettext_noop("Ridge regression, one round"),
    gettext_noop(
        "A weighted sum of the inputs, solved from one visit to each wallet; the same model as with all records in one place."
    ),
    gettext_noop("Skill profile"),
    gettext_noop(
        "Which skills, preferences and characteristics go with good work in which job: many answers at once from a job title and grades."
    ),
)
