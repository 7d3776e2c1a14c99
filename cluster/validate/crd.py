"""Manifests against KubeRay's custom resource definitions, as the API server would check them."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from autotune.cluster.description.findings import Finding
from autotune.errors import ConfigurationError

FILES: Final = {"RayCluster": "rayclusters.yaml", "RayJob": "rayjobs.yaml"}
KEEPS: Final = "x-kubernetes-preserve-unknown-fields"
EITHER: Final = "x-kubernetes-int-or-string"


def crd(manifest: dict[str, Any], folder: Path) -> list[Finding]:
    """What the API server would refuse; defaults are applied first, as it does.

    Args:
        manifest: A RayJob or RayCluster of `ray.io/v1`.
        folder: Holds KubeRay's definitions, `rayclusters.yaml` and `rayjobs.yaml`.

    Raises:
        ConfigurationError: When the definitions cannot be read, or do not know the kind.
    """
    import jsonschema

    kind = str(manifest.get("kind"))
    if kind not in FILES:
        return [Finding("crd", "kind", f"{kind!r} is not checked", f"use one of {', '.join(FILES)}")]
    schema = _schema(folder / FILES[kind], str(manifest.get("apiVersion", "")).rpartition("/")[2])
    checker = jsonschema.Draft202012Validator(schema)
    found = sorted(checker.iter_errors(with_defaults(manifest, schema)), key=lambda error: error.json_path)
    return [
        Finding(
            "crd",
            error.json_path.removeprefix("$").removeprefix("."),
            error.message,
            "see KubeRay's reference",
        )
        for error in found
    ]


def as_json_schema(schema: dict[str, Any], top: bool = True) -> dict[str, Any]:
    """Kubernetes' dialect in plain JSON schema.

    Three things differ: a type that is whole number or text, null where `nullable` allows it, and unknown
    fields, which the server refuses unless the schema preserves them. Metadata is Kubernetes' own.

    >>> as_json_schema({"type": "string", "nullable": True})
    {'type': ['string', 'null']}
    """
    found = {name: value for name, value in schema.items() if not name.startswith("x-")}
    if "properties" in found:
        found["properties"] = {name: as_json_schema(one, False) for name, one in schema["properties"].items()}
        if "additionalProperties" not in found and not schema.get(KEEPS):
            found["additionalProperties"] = False
        if top and "metadata" in found["properties"]:
            found["properties"]["metadata"] = {"type": "object"}
    for name in ("items", "additionalProperties"):
        if isinstance(found.get(name), dict):
            found[name] = as_json_schema(found[name], False)
    if schema.get(EITHER):
        found["type"] = ["integer", "string"]
        found.pop("anyOf", None)
    if found.pop("nullable", False) and "type" in found:
        kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
        found["type"] = [*kinds, "null"]
    return found


def with_defaults(value: Any, schema: dict[str, Any]) -> Any:
    """A copy with what the schema fills in where the manifest is silent."""
    if isinstance(value, dict):
        filled = dict(value)
        for name, one in schema.get("properties", {}).items():
            if name not in filled and "default" in one:
                filled[name] = copy.deepcopy(one["default"])
            if name in filled:
                filled[name] = with_defaults(filled[name], one)
        return filled
    if isinstance(value, list):
        return [with_defaults(item, schema.get("items", {})) for item in value]
    return value


@lru_cache(maxsize=4)
def _schema(path: Path, version: str) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}; give the folder of "
            "KubeRay's rayclusters.yaml and rayjobs.yaml"
        ) from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the files are large
    versions = {one["name"]: one for one in yaml.load(text, loader)["spec"]["versions"]}
    if version not in versions:
        raise ConfigurationError(f"{path} has no version {version!r}; it has {', '.join(versions)}")
    return as_json_schema(versions[version]["schema"]["openAPIV3Schema"])
