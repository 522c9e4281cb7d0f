"""Django's own, which also finds texts marked with `lazy(…)`, as forms and views here call `gettext_lazy`, and with `say(…)`, by which
the Django-free terms let a page translate the consent text."""

from __future__ import annotations

from django.core.management.commands import makemessages


class Command(makemessages.Command):
    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=lazy", "--keyword=say"]
