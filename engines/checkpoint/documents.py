"""A release's configuration files: read with a bound, checked against a model of their fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from engines.checkpoint.files import bad_file
from engines.errors import BadCheckpoint

LARGEST = 16 << 20  # bytes; published ones have some thousand lines
Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """
    Raises:
        BadCheckpoint: it is missing, too large or no YAML mapping.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(_content(path), Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise bad_file(path, f"is no YAML ({reason:.200})") from error
    return _fields(path, data)


def read_json(path: Path) -> dict[str, Any]:
    """
    Raises:
        BadCheckpoint: it is missing, too large or no JSON object.
    """
    try:
        data = json.loads(_content(path))
    except (ValueError, RecursionError) as error:
        raise bad_file(path, f"is no JSON ({error!s:.200})") from error
    return _fields(path, data)


def validated(model: type[Model], data: dict[str, Any], path: Path, where: str) -> Model:
    """
    Raises:
        BadCheckpoint: a field is unknown or has a value that it cannot have; all are named.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = "; ".join(_told(each, where) for each in error.errors()[:5])
        raise BadCheckpoint(
            f"{path} describes a model that is not known here: {found}.",
            "",
            "Pick another release, or a newer version of Vivavoce.",
        ) from error


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise bad_file(path, "is missing", "Download the release again, with all of its files.")
    if path.stat().st_size > LARGEST:
        raise bad_file(path, f"is larger than {LARGEST >> 20} MiB")
    return path.read_bytes()


def _fields(path: Path, data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise bad_file(path, "holds no fields")
    return data


def _told(error: Any, where: str) -> str:
    name = ".".join(map(str, (*([where] if where else []), *error["loc"])))
    if error["type"] == "extra_forbidden":
        return f"{name} is unknown"
    if error["type"] == "missing":
        return f"{name} is missing"
    message = error["msg"].removeprefix("Value error, ")
    given = "" if isinstance(error["input"], dict) else f" (it is {error['input']!r:.60})"
    return f"{name}: {message}{given}"
