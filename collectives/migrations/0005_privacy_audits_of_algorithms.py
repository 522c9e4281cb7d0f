import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('collectives', '0004_statements_of_presence'),
    ]

    operations = [
        migrations.CreateModel(
            name='Audit',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('waiting', 'waiting to be audited'), ('running', 'being audited'), ('admitted', 'audited'), ('rejected', 'rejected by the audit'), ('failed', 'the audit did not end')], default='waiting', max_length=12)),
                ('score', models.PositiveSmallIntegerField(blank=True, help_text='0 to 100.', null=True)),
                ('report', models.JSONField(blank=True, help_text="Pinned to the manifest's hash.", null=True)),
                ('doing', models.CharField(blank=True, help_text='The part that runs, while one does.', max_length=60)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('requested_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('algorithm', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='audits', to='collectives.algorithm')),
            ],
            options={
                'ordering': ['-requested_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('status__in', ['waiting', 'running'])), fields=('algorithm',), name='one_audit_of_an_algorithm_at_a_time'), models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['admitted', 'rejected']), _negated=True), models.Q(('finished_at__isnull', False), ('report__isnull', False), ('score__isnull', False)), _connector='OR'), name='a_concluded_audit_has_a_report_and_a_score')],
            },
        ),
    ]
