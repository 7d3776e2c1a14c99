"""Whether Ray's control service is locked, and our token opens it, said at once.

Ray itself tries on, and does not say why.
"""

from __future__ import annotations

import os
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final

from autotune.cluster.live.access import TOKEN_FILE, is_loopback
from autotune.errors import ConfigurationError

PATIENCE_S: Final = 2.0  # for each of two knocks
METHOD: Final = "/ray.rpc.NodeInfoGcsService/GetClusterId"  # the first question of every client


def knock(address: str, *, named: bool = True) -> bool:
    """Ask a control service who it is, without a token and then with ours.

    One that does not answer, or not to this, is left to Ray, which waits for one that is starting.

    Args:
        address: `host:port`.
        named: Whether somebody asked for this very cluster: others than on this machine must be locked.

    Returns:
        Whether it asks for a token.

    Raises:
        ConfigurationError: When it asks for a token, and there is none here or another's; or when it asks
            for none, and was not named.
    """
    door = _door(address, "")
    if door is Door.OPEN and not named and not is_loopback(address.rpartition(":")[0]):
        raise ConfigurationError(
            f"the cluster that Ray finds at {address} asks for no token: whoever reaches it can run code "
            f"there. Start it with RAY_AUTH_MODE=token, or say that you want it: address={address}"
        )
    if door is not Door.LOCKED:
        return False
    token = own_token()
    if not token:
        raise ConfigurationError(
            f"the cluster at {address} asks for a token, and {where()} holds none; copy the cluster's "
            "there with mode 0600"
        )
    if _door(address, token) is Door.LOCKED:
        raise ConfigurationError(
            f"the token in {where()} does not open the cluster at {address}; copy its own there"
        )
    return True


def own_token() -> str:
    """The token that Ray takes here; empty where there is none."""
    with suppress(OSError, UnicodeDecodeError):
        return os.environ.get("RAY_AUTH_TOKEN") or Path(where()).read_text(encoding="utf-8").strip()
    return ""


def where() -> str:
    """Where Ray looks for the token; these variables are its own."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    return os.environ.get("RAY_AUTH_TOKEN_PATH") or str(TOKEN_FILE.expanduser())


class Door(Enum):
    """How a control service takes whoever comes."""

    OPEN = "open"
    LOCKED = "locked"
    SILENT = "silent"


def _door(address: str, token: str) -> Door:
    import grpc  # Ray's own dependency

    shown = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        try:
            channel.unary_unary(METHOD)(b"", timeout=PATIENCE_S, metadata=shown)
        except grpc.RpcError as error:
            return Door.LOCKED if error.code() is grpc.StatusCode.UNAUTHENTICATED else Door.SILENT
    return Door.OPEN
