"""A person's account: an e-mail to log in with, and the roles it holds. One account may hold several."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    INDIVIDUAL = "individual", _("individual")
    CONSUMER = "consumer", _("data consumer")
    OWNER = "owner", _("collective owner")
    AUTHOR = "author", _("algorithm author")


class AccountManager(BaseUserManager["Account"]):
    """Creates accounts without a username: the e-mail is the name."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> Account:
        if not email:
            raise ValueError("an account needs an e-mail address")
        account = self.model(email=self.normalize_email(email).lower(), **fields)
        account.set_password(password)
        account.save(using=self._db)
        return account

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> Account:
        return self.create_user(email, password, **fields | {"is_staff": True, "is_superuser": True})

    def get_by_natural_key(self, username: str | None) -> Account:
        return self.get(email__iexact=username)


class Account(AbstractUser):
    username = None  # type: ignore[assignment]
    email = models.EmailField(_("e-mail"), unique=True)
    roles = models.ManyToManyField("RoleGrant", blank=True, related_name="accounts")
    language = models.CharField(
        max_length=10, blank=True, help_text=_("Chosen on a page; letters are written in it.")
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[AccountManager] = AccountManager()

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")

    def __str__(self) -> str:
        return self.email

    def has_role(self, role: Role) -> bool:
        return any(grant.role == role for grant in self.roles.all())

    def grant(self, *roles: Role) -> None:
        self.roles.add(*(RoleGrant.objects.get_or_create(role=role)[0] for role in roles))


class RoleGrant(models.Model):
    """One row per role; an account holds a role by pointing at its row."""

    role = models.CharField(max_length=20, choices=Role.choices, unique=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(role__in=[r.value for r in Role]),
                name="role_is_known",
                violation_error_message=_("There is no such role."),
            )
        ]

    def __str__(self) -> str:
        return str(Role(self.role).label)


class ApiToken(models.Model):
    """A program's way in, as one account. The token itself is not kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="api_tokens")
    label = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True, help_text=_("SHA-256 of the token."))
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"token {self.label}"
