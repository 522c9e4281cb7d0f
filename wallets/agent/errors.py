"""Named failures of the wallet. Each carries a stable code and one sentence that says what to do."""

from __future__ import annotations


class WalletError(Exception):
    """Root of everything the wallet raises on purpose.

    `code` is stable and machine-readable; `sentence` is for the person; `permanent` tells a retry loop to stop.
    """

    code = "wallet_error"
    permanent = True

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if code is not None:
            self.code = code


class StoreError(WalletError):
    """The encrypted store cannot be used as asked."""

    code = "store"


class StoreMissing(StoreError):
    """There is no wallet in this folder."""

    code = "store_missing"


class StoreExists(StoreError):
    """A wallet already lives in this folder; it is never overwritten."""

    code = "store_exists"


class WrongPassphrase(StoreError):
    """No slot of the key file opens with what was given."""

    code = "wrong_passphrase"


class LockedOut(StoreError):
    """Too many wrong attempts: wait before the next one."""

    code = "locked_out"

    def __init__(self, sentence: str, *, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class StoreDamaged(StoreError):
    """The key file or the database is not what this wallet wrote."""

    code = "store_damaged"


class BadData(WalletError):
    """What the person gave cannot be used; nothing was changed."""

    code = "bad_data"


class NotFound(WalletError):
    """The named thing is not in this wallet."""

    code = "not_found"


class Unreachable(WalletError):
    """A server did not answer; the same call may succeed later. Who shows it says who tries again, and that nothing was lost."""

    code = "unreachable"
    permanent = False


class ServerRefused(WalletError):
    """A server answered with a named refusal."""

    code = "server_refused"

    def __init__(self, sentence: str, *, code: str, status: int) -> None:
        super().__init__(sentence, code=code)
        self.status = status
        self.permanent = 400 <= status < 500 and status != 429


class InsecureTransport(WalletError):
    """A plain, unencrypted address outside this machine was given."""

    code = "insecure_transport"


class PeerNotTrusted(WalletError):
    """The other side could not prove the key this wallet pinned."""

    code = "peer_not_trusted"


class ProtocolFault(WalletError):
    """A server said something that is not in the protocol."""

    code = "protocol_fault"


class SandboxError(WalletError):
    """The sandboxed worker gave no usable result; `code` is one of the fixed words of `sandbox.policy`."""

    code = "sandbox"


class OutputRefused(WalletError):
    """A worker's result broke the output contract."""

    code = "output"


class Declined(WalletError):
    """The holder, or the holder's rule, said no."""

    code = "declined"
