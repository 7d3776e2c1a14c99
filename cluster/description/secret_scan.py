"""Values that look like secrets, which have no place in a spec, a runtime environment, a log or a card."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import yaml

from autotune.cluster.description.findings import Finding, is_placeholder, leaves, refuse

KNOWN: Final = (  # of providers whose keys can be told by their look
    ("an AWS access key", re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")),
    ("a GitHub token", re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{20,})")),
    ("a Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{20,}")),
    ("a Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{30,}")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}")),
    ("an API key", re.compile(r"\bsk-[A-Za-z0-9_-]{20,}")),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.")),
    ("a storage account key", re.compile(r"AccountKey=[A-Za-z0-9+/=]{20,}|[?&]sig=[A-Za-z0-9%+/]{20,}")),
    ("a password in an address", re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@")),
)
NAMES: Final = re.compile(
    r"(?i)(^|[_.\-])(password|passwd|secret|token|api_?key|access_?key|private_?key|credentials?)$"
)
ASSIGNED: Final = re.compile(
    r"(?i)\b[\w-]*(?:password|passwd|secret|token|api_?key|access_?key)[\w-]*\s*[=:]\s*['\"]?([^\s'\"$<>(){}]{6,})"
)
REFERENCE: Final = re.compile(r"^(~|/|\.{1,2}/|\$|file:|secret:|arn:|projects/)")
LONG: Final = re.compile(r"[A-Za-z0-9+/]{20,}")
BITS: Final = 3.8  # of entropy per character; base64 keys of this length have above 4


def looks_secret(value: object, name: str = "") -> str | None:
    """What kind of secret a value looks like; None where it does not.

    Args:
        value: Only texts can be secrets here.
        name: What the value is called: a plain text named `password` is one, a path or `$VARIABLE` is not.

    >>> looks_secret("hunter2hunter2", "db_password")
    'a secret by its name'
    >>> looks_secret("~/.ray/auth_token", "token") is None
    True
    """
    if not isinstance(value, str) or is_placeholder(value):
        return None
    for kind, pattern in KNOWN:
        if pattern.search(value):
            return kind
    if NAMES.search(name) and len(value) >= 6 and not REFERENCE.match(value):
        return "a secret by its name"
    assigned = ASSIGNED.search(value)
    if assigned and not REFERENCE.match(assigned[1]):
        return "a secret in a command"
    if any(_random(found) for found in LONG.findall(value)):
        return "a key by its randomness"
    return None


def find_secrets(plain: Any, at: str = "") -> Iterator[Finding]:
    """Findings for every value of plain data that looks like a secret; the value itself is never repeated."""
    for path, value in leaves(plain, at):
        name = path.rpartition(".")[2].split("[")[0]
        if (kind := looks_secret(value, "" if value == name else name)) is not None:
            yield Finding(
                "secret",
                path,
                f"the value looks like {kind}",
                "keep it in a file, a Kubernetes secret or an instance's role, and name that here",
            )


def refuse_secrets(text: str) -> None:
    """Refuse YAML with a value that looks like a secret: it would be kept, and shown in reports.

    Raises:
        ConfigurationError: Naming where it is, and not the value. Of YAML that cannot be read others tell.
    """
    with suppress(yaml.YAMLError):
        refuse(find_secrets(yaml.safe_load(text)))


def entropy(text: str) -> float:
    """Shannon entropy in bits per character."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts) if text else 0.0


def _random(text: str) -> bool:
    """Digits among small and capital letters, evenly: no word, path, version or hexadecimal digest is so."""
    kinds = (str.isdigit, str.islower, str.isupper)
    mixed = all(any(kind(character) for character in text) for kind in kinds)
    return mixed and text.count("/") < 3 and entropy(text) >= BITS
