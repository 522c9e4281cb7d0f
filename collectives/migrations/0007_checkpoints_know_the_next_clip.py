from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("collectives", "0006_buckets_that_stood_out")]

    operations = [
        migrations.AddField(
            model_name="checkpoint",
            name="clip_micro",
            field=models.PositiveBigIntegerField(
                default=0,
                help_text="The next round's clip bound in millionths, where it adapts; 0: the algorithm's.",
            ),
        ),
    ]
