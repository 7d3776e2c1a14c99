"""Python objects between the processes of a trial, as bytes that only these processes can write.

torch.distributed pickles what it sends and asks nobody who he is. Whoever reaches its port could have a
process unpickle what he likes; here nothing is unpickled that was not signed with the trial's own key.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
from typing import Any, Final

from autotune.errors import RankLostError

_MARK: Final = hashlib.sha256().digest_size


def sealed(value: object, key: bytes) -> bytes:
    """An object, pickled and signed (HMAC-SHA256).

    Args:
        value: Of the trial.
        key: That the processes share.
    """
    payload = pickle.dumps(value)
    return hmac.digest(key, payload, "sha256") + payload


def opened(message: bytes, key: bytes) -> Any:
    """Undo `sealed`.

    Raises:
        RankLostError: When somebody without the key wrote it; nothing of it is unpickled.
    """
    mark, payload = message[:_MARK], message[_MARK:]
    if not hmac.compare_digest(mark, hmac.digest(key, payload, "sha256")):
        raise RankLostError("what came from another process of the trial was not signed by it")
    return pickle.loads(payload)  # noqa: S301  # signed
