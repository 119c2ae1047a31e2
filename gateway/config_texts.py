"""What the text of a variable means, by the setting that it is for."""

from __future__ import annotations

from gateway.errors import ConfigError

LISTS = frozenset({"admin_names", "token_keys", "trusted_proxies"})
"""Settings that are lists; in a variable with commas between."""

NUMBERS = {
    "connections": "connections",
    "connections_per_address": "connections",
    "memory_budget": "bytes",
    "workers": "workers",
}
"""Settings that are whole numbers, and of what."""


def meaning(key: str, name: str, text: str) -> object:
    """Return the value that a variable gives a setting.

    Args:
        key: of the setting.
        name: of the variable, for errors.
        text: its own.

    Raises:
        ConfigError: it is no such value.
    """
    if key in LISTS:
        return [part for part in text.split(",") if part]
    if key in NUMBERS:
        return _whole_number(key, name, text)
    if key == "drain_deadline":
        return seconds(name, text)
    if key == "log_query":
        return _yes_or_no(name, text)
    return text


def seconds(name: str, text: str) -> float:
    """Return a time.

    Raises:
        ConfigError: it is no number.
    """
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is not a number of seconds") from None


def _whole_number(key: str, name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is not a number of {NUMBERS[key]}") from None


def _yes_or_no(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise ConfigError(f"{name}: {text!r} is neither true nor false")
    return text == "true"
