from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("distributor", "0003_find_the_mail_of_a_notice")]

    operations = [
        migrations.AddField(
            model_name="round",
            name="coin_ppm",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
