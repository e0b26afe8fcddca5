"""The settings in force, one by one, each with where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from .sight import SettingView


def settings_shown(settings: BaseModel, environment: Mapping[str, str], prefix: str = "HAMI_") -> list[SettingView]:
    """Every value of the settings by its name in the file; those that the environment sets bear its mark."""
    upper = {name.upper() for name in environment}
    return list(_walk(settings, "", prefix, upper))


def _walk(section: BaseModel, path: str, variable: str, environment: set[str]) -> Iterator[SettingView]:
    for field, info in type(section).model_fields.items():
        value, name = getattr(section, field), f"{path}{info.alias or field}"
        key = f"{variable}{field}".upper()
        given = field in section.model_fields_set
        if isinstance(value, BaseModel) and key not in environment:
            yield from _walk(value, f"{name}.", f"{key}__", environment)
            continue
        origin = "environment" if key in environment else "file" if given else "default"
        yield SettingView(name, _plain(value), origin)


def _plain(value: object) -> object:
    """As JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)
