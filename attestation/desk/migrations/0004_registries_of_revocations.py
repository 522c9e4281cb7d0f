import django.db.models.deletion
from django.db import migrations, models


def keys_anew(apps, schema_editor):
    """Keys made before could not revoke. Desks that had some get others; credentials for proofs without linking are collected again."""
    issuers = apps.get_model("issuer", "Issuer").objects.using(schema_editor.connection.alias)
    issuers.exclude(definition="").update(definition="", sealed_definition=None, definition_wanted=True)


class Migration(migrations.Migration):

    dependencies = [
        ('issuer', '0003_keys_asked_for_on_the_page'),
    ]

    operations = [
        migrations.CreateModel(
            name='Registry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('size', models.PositiveIntegerField()),
                ('token', models.TextField()),
                ('sealed_private', models.BinaryField()),
                ('tails', models.BinaryField()),
                ('issuer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='registries', to='issuer.issuer')),
            ],
            options={
                'verbose_name_plural': 'registries',
                'ordering': ['number'],
                'constraints': [models.UniqueConstraint(fields=('issuer', 'number'), name='one_registry_per_number')],
            },
        ),
        migrations.AddField(
            model_name='credential',
            name='registry',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credentials', to='issuer.registry'),
        ),
        migrations.AddField(
            model_name='credential',
            name='places',
            field=models.JSONField(default=dict, help_text='Field to place in the registry, once collected.'),
        ),
        migrations.RunPython(keys_anew, migrations.RunPython.noop),
    ]
