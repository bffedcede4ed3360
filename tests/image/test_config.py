from __future__ import annotations

from dataclasses import replace

import pytest

from effetool.image.config import Base, Platform, configuration, parse_platform


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("amd64")), ("x86_64", Platform("amd64")), ("aarch64", Platform("arm64")),
        ("linux/arm/v7", Platform("arm", "v7")), ("linux/arm64/v8", Platform("arm64")),
    ],
)  # fmt: skip
def test_platforms_are_go_words_or_the_kernel_s(text: str, platform: Platform) -> None:
    """Both spellings name one platform."""
    assert parse_platform(text) == platform


@pytest.mark.parametrize("text", ["windows/amd64", "", "linux/", "linux/a/b/c", "linux/../x"])
def test_what_is_no_linux_platform_is_refused(text: str) -> None:
    """An effe's image runs on Linux."""
    with pytest.raises(ValueError, match=r"platform|Linux"):
        parse_platform(text)


def test_an_image_runs_as_nobody_and_stops_by_sigterm(bare: Base) -> None:
    """The settings every engine and Kubernetes' restricted profile ask for; the user is a number."""
    config = configuration(bare, [], {"a": "b"})["config"]
    assert isinstance(config, dict)
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", *config["Entrypoint"], "-healthcheck"]
    assert config["Labels"] == {"a": "b"}


def test_what_a_base_says_of_itself_is_not_said_of_the_effe(bare: Base) -> None:
    """org.opencontainers.image.* of the base are dropped, its environment and other labels are kept."""
    old = {
        "Labels": {"org.opencontainers.image.source": "x", "team": "y"},
        "Env": ["A=b"],
        "Cmd": ["sh"],
        "Healthcheck": {},
    }
    config = configuration(replace(bare, config={**bare.config, "config": old}), [], {})["config"]
    assert isinstance(config, dict)
    assert (config["Labels"], config["Env"], config["Cmd"]) == ({"team": "y"}, ["A=b", "MALLOC_ARENA_MAX=1"], [])
    config = configuration(replace(bare, config={"config": {"Env": ["MALLOC_ARENA_MAX=4"]}}), [], {})["config"]
    assert isinstance(config, dict) and config["Env"] == ["MALLOC_ARENA_MAX=4"]
