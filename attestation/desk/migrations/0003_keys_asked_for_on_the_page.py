from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('issuer', '0002_keys_for_unlinkable_proofs'),
    ]

    operations = [
        migrations.AddField(
            model_name='issuer',
            name='definition_wanted',
            field=models.BooleanField(default=False, help_text='Those keys were asked for on the page, and a worker makes them.'),
        ),
    ]
