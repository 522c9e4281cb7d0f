"""What depends on long vectors alone: mask expansion against the cipher, memory of the aggregator, unmasking a thousand wallets."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from aggregation.secagg import masking, vectors
from aggregation.secagg.server import Accumulator, BucketServer, BucketSum, unmask
from tests.benchmarks.secagg.parties import Setting, Stage, updates


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def mask_over_ceiling(d: int, repeats: int) -> tuple[float, float]:
    """(ratio, bytes per second of the ceiling). Adding the masks of 50 seeds to d uint32 words, over AES-128-CTR of as many bytes
    through the same library in the same pieces with nothing added. Alternating; the median of the pairs."""
    words, zeros = np.zeros(d, dtype="<u4"), memoryview(bytes(masking.PIECE))
    out = memoryview(bytearray(masking.PIECE))
    seeds = [bytes([i]) * 16 for i in range(50)]

    def ceiling() -> None:
        for seed in seeds:
            encryptor = Cipher(algorithms.AES128(seed), modes.CTR(bytes(16))).encryptor()
            for start in range(0, 4 * d, masking.PIECE):
                size = min(masking.PIECE, 4 * d - start)
                encryptor.update_into(zeros[:size], out[:size])

    def ours() -> None:
        vectors.add_masks(words, [(seed, 1) for seed in seeds])

    pairs = [(cpu(ours), cpu(ceiling)) for _ in range(repeats)]
    return median(a / b for a, b in pairs), len(seeds) * 4 * d / median(b for _, b in pairs)


def memory_vectors(n: int, d: int) -> float:
    """The aggregator's peak resident memory while inputs come and masks go, in vectors of d uint32 words.

    The wallets' messages are made by another process and come from files, so that their memory is not counted. The baseline is
    taken when the keys are shared and the first input has not come. The process gets its memory as a server's does
    (deploy/image/entrypoint.sh): by default glibc keeps the vectors that were let go, and the figure would be about that.
    """
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "1048576")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure_memory, args=(theirs, n, d))
    process.start()
    theirs.close()
    try:
        return float(ours.recv())
    finally:
        process.join()


def _measure_memory(pipe, n: int, d: int) -> None:  # type: ignore[no-untyped-def]
    import tempfile

    k = min(40, n - 1)
    setting = Setting(n=n, d=d, lost=n // 10, k=k, t=k * 11 // 20 + 1)
    stage = Stage(setting)
    stage.advertise()
    stage.share_keys()
    update = updates(1, d, 16)[0]
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for i in stage.alive:
            client = stage.clients[i]
            client.receive_shares(stage.bundles[i])
            files.append(Path(folder, str(i)))
            files[-1].write_bytes(client.mask(update))
        before = _reset_peak()
        for i, file in zip(stage.alive, files, strict=True):
            stage._bucket(i).receive_masked(file.read_bytes(), sender=stage.keys[i])
        stage.consistency()
        stage.unmask()
        result = stage.release()
        peak = _status("VmHWM")
    (bucket,) = result.sums.values()
    assert np.array_equal(bucket.sum, update * len(stage.alive))
    pipe.send((peak - before) * 1024 / (4 * d))


def _reset_peak() -> int:
    """Resident KiB now; the kernel's record of the peak starts again (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise KeyError(name)


def unmasking(setting: Setting) -> dict[str, float]:
    """CPU seconds of unmasking a round, wall seconds with one thread and with two.

    Keys, shares and answers are those of real wallets, their masked inputs are added as they come; the buckets are then unmasked one
    after the other, as the server does.
    """
    stage = Stage(setting)
    stage.advertise()
    stage.share_keys()
    row = updates(1, setting.d, 16)[0]
    stage.masked_inputs(lambda _: row)
    stage.consistency()
    stage.unmask()
    used = one = two = 0.0
    with ThreadPoolExecutor(max_workers=2) as executor:
        for server in stage.round.buckets:
            began, cpu_began = time.perf_counter(), time.process_time()
            alone = _unmask_again(server, None)
            used += time.process_time() - cpu_began
            one += time.perf_counter() - began
            began = time.perf_counter()
            together = _unmask_again(server, executor)
            two += time.perf_counter() - began
            assert np.array_equal(alone.sum, row * alone.count)
            assert np.array_equal(together.sum, alone.sum)
    return {"cpu": used, "wall_one_thread": one, "wall_two_threads": two}


def _unmask_again(server: BucketServer, executor: ThreadPoolExecutor | None) -> BucketSum:
    """Unmask a copy of the bucket's sum, so that the same bucket can be measured twice."""
    return unmask(
        server.bucket,
        server._share_keys,
        server.joined,
        server._signed_survivors(),
        server._unmasks,
        Accumulator.from_bytes(server.bucket.header, server.accumulator),
        executor=executor,
    )
