"""The outputs of a run: names of the agents' outputs, or those of a private agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goloagent.client.errors import ClientError
from goloagent.core.http_setting import SettingError
from goloagent.core.output_parser import check_names, parse_option


def choose_outputs(
    members: dict[str, Any], given: Sequence[str] | None, *, is_private: bool
) -> tuple[str, ...]:
    """Set ``outputs`` of a job from its options; return the outputs of a private agent.

    Raises:
        ClientError: one is wrong.
    """
    texts = list(given) if given else members.get("outputs")
    if texts is None:
        return ()
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ClientError('outputs must be a list of texts, such as ["influx"]')
    if is_private:
        members.pop("outputs", None)  # it has these only
        return _private(texts)
    for text in texts:
        if "=" in text:
            raise ClientError(
                f"--output {text.partition('=')[0]}: agents have their own outputs; give the name "
                "of one, or leave out --provider for a private agent with this output"
            )
    members["outputs"] = texts
    return ()


def _private(texts: Sequence[str]) -> tuple[str, ...]:
    for text in texts:
        if "=" not in text:
            raise ClientError(
                f"--output {text[:80]}: a private agent has no outputs; write NAME=URL, such as "
                "influx=influx+http://localhost:8086?database=golo, or name agents by --provider"
            )
    try:
        settings = check_names(map(parse_option, texts))
    except SettingError as error:
        raise ClientError(str(error)) from None
    return tuple(setting.option for setting in settings)  # the agent has another directory
