"""Every page by name, who may open it, and whether it belongs to somebody. The walk of all pages, here and in the browser."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from tests.apps.cast import World


@dataclass(frozen=True, kw_only=True)
class Page:
    """`who` may open it ("" = everybody); `owned`: another person with the same role gets 404."""

    name: str
    url: str
    who: str = ""
    owned: bool = False


def pages(world: World) -> list[Page]:
    collective, job = world.collective.pk, world.order.job_id
    order = reverse("order", args=[collective])
    chosen = f"{order}?algorithm={world.algorithm.manifest_hash}"

    def page(name: str, *args: object, who: str = "", owned: bool = False) -> Page:
        return Page(name=name, url=reverse(name, args=args), who=who, owned=owned)

    return [
        page("home"),
        page("how"),
        page("catalogue"),
        page("collective", collective),
        page("data-tool", collective),
        page("algorithm-list"),
        page("algorithm", world.algorithm.manifest_hash),
        page("account_login"),
        page("account_signup"),
        page("account_reset_password"),
        page("account", who="ivo"),
        page("account-delete", who="ivo"),
        Page(name="account-tokens", url=reverse("api-tokens"), who="ivo"),
        page("account_email", who="ivo"),
        page("account_change_password", who="ivo"),
        page("mfa_index", who="ivo"),
        page("wallet", who="ivo"),
        page("wallet-status", world.wallet.pk, who="ivo", owned=True),
        page("pair", who="ivo"),
        page("subscription", world.link.pk, who="ivo", owned=True),
        page("notice", world.link.pk, world.admission.pk, who="ivo", owned=True),
        page("jobs", who="carla"),
        page("order", collective, who="carla"),
        Page(name="order-limits", url=chosen, who="carla"),
        Page(name="order-review", url=f"{chosen}&budget=1000&rounds=5", who="carla"),
        page("job", job, who="carla", owned=True),
        page("result", job, who="carla", owned=True),
        page("compare", job, who="carla", owned=True),
        page("checkpoint", job, 0, who="carla", owned=True),
        page("funds", who="carla"),
        page("console", who="alice"),
        page("collective-register", who="alice"),
        page("collective-console", collective, who="alice", owned=True),
        page("collective-terms", collective, who="alice", owned=True),
        page("collective-propose", collective, who="alice", owned=True),
        page("collective-announce", collective, who="alice", owned=True),
        page("collective-rounds", collective, who="alice", owned=True),
        page("collective-orders", collective, who="alice", owned=True),
        page("collective-settlement", collective, who="alice", owned=True),
        page("algorithms", who="aron"),
        page("algorithm-submit", who="aron"),
        page("algorithm-ready-made", who="aron"),
        page("algorithm-ready-made-for", collective, who="aron"),
    ]
