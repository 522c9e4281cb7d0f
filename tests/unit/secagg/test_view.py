"""Oracle 4: what the server sees does not depend on how two honest wallets split their sum, and masked vectors look uniform."""

from __future__ import annotations

import numpy as np

from aggregation.secagg import vectors
from aggregation.secagg.messages import MaskedInput
from tests.unit.secagg.pair import Wire, header, random_updates


def masked(w: Wire, i: int) -> np.ndarray:
    return np.frombuffer(MaskedInput.from_bytes(w.sent["masked_input"][i]).y, dtype="<u4")


def test_shifting_two_inputs_against_each_other_is_explained_by_another_mask() -> None:
    """The simulation argument, executed: with inputs x0 + r and x1 − r, the view {y, sums, everything but the shared mask of the
    two} is the very same if their shared mask differs by r, which is a uniform word unknown to everyone else."""
    head = header(bucket_size=6, d=8)
    plain = random_updates(head, 6) // 4
    shift = np.arange(1, 9)
    shifted = plain.copy()
    shifted[0] += shift
    shifted[1] -= shift
    one, two = (Wire(head, 6, updates=u).until("masked_input") for u in (plain, shifted))
    for i in range(2, 6):
        assert (masked(one, i) == masked(two, i)).all(), "nobody else's message changes"
    for kind in ("advertise", "share_keys"):
        assert one.sent[kind] == two.sent[kind]
    difference = [masked(two, i)[:-1] - masked(one, i)[:-1] for i in (0, 1)]
    assert (difference[0][:8] == shift.astype("<u4")).all()
    assert ((difference[0] + difference[1]) == 0).all(), (
        "a change of the mask between the two explains the view"
    )
    for w in (one, two):
        for step in w.STEPS[5:]:
            getattr(w, step)()
    left, right = one.round.release(), two.round.release()
    assert (left.sums[0].sum == right.sums[0].sum).all()


def test_masked_vectors_are_uniform_words() -> None:
    """χ² over the 256 values of every byte place of a masked all-zero update, at a significance of about 10^-6."""
    head = header(bucket_size=5, d=20_000)
    w = Wire(head, 5, updates=np.zeros((5, 20_000), dtype=np.int64)).until("masked_input")
    for i in range(5):
        octets = masked(w, i).view(np.uint8).reshape(-1, 4)
        for place in range(4):
            counts = np.bincount(octets[:, place], minlength=256)
            expected = len(octets) / 256
            chi2 = float(((counts - expected) ** 2 / expected).sum())
            assert 255 - 5 * np.sqrt(510) < chi2 < 255 + 5 * np.sqrt(510)


def test_masked_vectors_of_two_wallets_are_uncorrelated() -> None:
    head = header(bucket_size=5, d=20_000)
    w = Wire(head, 5, updates=np.zeros((5, 20_000), dtype=np.int64)).until("masked_input")
    centred = np.array([masked(w, i).astype(np.float64) / 2**32 - 0.5 for i in range(5)])
    correlation = np.corrcoef(centred)
    assert np.abs(correlation[np.triu_indices(5, 1)]).max() < 5 / np.sqrt(20_000)


def residuals(seed: object, updates: np.ndarray) -> np.ndarray:
    """What is left of three honest vectors once the server and t − 1 = 3 colluders took off every mask they can know: the revealed
    self masks and the masks of edges with colluders."""
    w = Wire(header(bucket_size=6, d=20_000), 6, seed=seed, updates=updates)
    assert w.head.threshold(6) == 4
    colluders, known = (3, 4, 5), []
    for step in w.STEPS[:5]:
        getattr(w, step)()
    for i in range(3):
        place = w.clients[i]._position
        seeds = [(w.clients[c]._edges[place].mask_seed, place < w.clients[c]._position) for c in colluders]
        seed_b = w.clients[i]._self_seed
        assert seed_b is not None
        known.append((seed_b.reveal(), seeds))
    left = []
    for i, (own, seeds) in enumerate(known):
        words = masked(w, i).copy()
        vectors.add_mask(words, own, -1)
        for edge, added in seeds:
            vectors.add_mask(words, edge, -1 if added else 1)
        left.append(words[:-2])
    return np.array(left)


def test_t_less_one_colluders_see_the_same_whichever_way_honest_inputs_split() -> None:
    """Statistical: over fresh rounds, what colluders cannot take off is uniform for both splits and tells them apart by nothing but its
    sum. χ² of 256 cells with 20,000 samples each, at about 10^-6, and the two samples against each other."""
    plain = np.zeros((6, 20_000), dtype=np.int64)
    shifted = plain.copy()
    shifted[0] += 1_000
    shifted[1] -= 1_000
    left, right = residuals("plain", plain), residuals("shifted", shifted)
    for found, updates in ((left, plain), (right, shifted)):
        np.testing.assert_array_equal(
            found.sum(axis=0, dtype=np.uint32).view(np.int32), updates[:3].sum(axis=0)
        )
    for i in range(3):
        counts = [np.bincount(found[i] & 255, minlength=256) for found in (left, right)]
        for count in counts:
            assert ((count - 78.125) ** 2 / 78.125).sum() < 255 + 5 * np.sqrt(510)
        together = counts[0] + counts[1]
        two_sample = ((counts[0] - counts[1]) ** 2 / together).sum()
        assert two_sample < 255 + 5 * np.sqrt(510)
        assert (left[i] != 0).mean() > 0.99, "an edge between honest wallets still hides it"
