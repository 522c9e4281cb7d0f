from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0003_a_metric_may_stop_a_job")]

    operations = [
        migrations.AddField(
            model_name="order",
            name="judge_hash",
            field=models.CharField(
                blank=True,
                help_text="Manifest of the evaluation by which the job stops where it gets no better.",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="order", name="judge_every", field=models.PositiveIntegerField(default=0)
        ),
        migrations.AddField(
            model_name="order", name="judge_window", field=models.PositiveIntegerField(default=0)
        ),
        migrations.AddField(
            model_name="order",
            name="judges",
            field=models.ForeignKey(
                blank=True,
                help_text="The order whose model this one judges.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="evaluations",
                to="jobs.order",
            ),
        ),
        migrations.AddField(
            model_name="order", name="judged_number", field=models.PositiveIntegerField(default=0)
        ),
    ]
