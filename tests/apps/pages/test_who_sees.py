"""One truth about who sees what: the collective reads sums of whole groups, the buyer gets the model made of them."""

from __future__ import annotations

import re

from django.urls import reverse

from tests.apps.cast import World

WRONG = re.compile(r"buyers?( and collective)? (reads?|sees?|gets?) (only )?(the )?sums?", re.I)


def test_no_page_says_that_the_buyer_reads_sums(world: World) -> None:
    for who, name, args in (
        ("", "home", []),
        ("", "how", []),
        ("", "collective", [world.collective.pk]),
        ("charlie", "subscribe", [world.collective.pk]),
        ("carla", "result", [world.order.job_id]),
        ("alice", "collective-terms", [world.collective.pk]),
    ):
        text = world.client(who).get(reverse(name, args=args)).content.decode()
        assert not WRONG.search(re.sub(r"<[^>]+>", " ", text)), name
    card = world.client("").get(reverse("collective", args=[world.collective.pk])).content.decode()
    assert "<dt>Each step of the model sums at least</dt><dd>100 wallets</dd>" in card
    assert "Collective: sums of 100+ wallets" in card


def test_the_table_keeps_collective_and_buyer_apart(world: World) -> None:
    text = world.client("").get(reverse("how")).content.decode()
    head = re.findall(r'<th scope="col">(.*?)</th>', text)
    rows = {
        re.search(r'<th scope="row">(.*?)</th>', row).group(1): re.findall(r"<td>(.*?)</td>", row)  # type: ignore[union-attr]
        for row in re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", text)
    }
    sums = dict(zip(head[1:], rows["The sum of many wallets"], strict=True))
    assert (sums["Collective"], sums["Buyer"]) == ("yes", "through the model")
    assert all(len(cells) == len(head) - 1 for cells in rows.values())
    assert "Two in a row can tell much of the sum between them" in text
