from __future__ import annotations

from dataclasses import fields

import pytest

from surfcheck.errors import UsageError
from surfcheck.settings import METHODS, OPTIONS, Settings, read_settings, surf_folder


def given_as(**values: str | bool):
    return lambda option: values.get(option.name)


def test_every_setting_is_an_option_in_the_same_order() -> None:
    assert [option.name for option in OPTIONS] == [field.name for field in fields(Settings)]


def test_what_is_not_given_is_the_default() -> None:
    assert read_settings(given_as()) == Settings()


def test_what_is_given_is_read() -> None:
    settings = read_settings(
        given_as(target="hf:x", samples="3", seed="0", memory="replay", no_attribution=True)
    )
    assert settings == Settings(
        target="hf:x", samples=3, seed=0, memory="replay", no_attribution=True
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_named(method: str) -> None:
    assert read_settings(given_as(method=method)).method == method


@pytest.mark.parametrize(
    ("name", "text", "takes"),
    [
        ("samples", "0", "a whole number, 1 or more"),
        ("samples", "many", "a whole number, 1 or more"),
        ("samples", "²", "a whole number, 1 or more"),
        ("samples", "--3", "a whole number, 1 or more"),
        ("examples", "1.5", "a whole number, 1 or more"),
        ("seed", "-1", "a whole number, 0 or more"),
        ("memory", "sometimes", "one of auto, record, replay, off"),
        ("method", "guess", "one of probe, conditional"),
        ("no_attribution", "perhaps", "true or false"),
    ],
)
def test_a_wrong_value_names_the_flag_and_what_it_takes(name: str, text: str, takes: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(given_as(**{name: text}))
    flag = "--surf-" + name.replace("_", "-")
    assert str(caught.value).startswith(f"{flag} is {text!r}: give {takes}")


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("off", False), ("1", True)])
def test_a_switch_in_an_ini_file(text: str, value: bool) -> None:
    assert read_settings(given_as(no_attribution=text)).no_attribution is value


def test_an_option_has_a_flag_and_an_ini_key() -> None:
    option = OPTIONS[-1]
    assert (option.flag, option.ini) == ("--surf-no-attribution", "surf_no_attribution")


def test_the_folder_of_a_project_is_found_from_below_and_no_further(tmp_path, monkeypatch) -> None:
    (tmp_path / ".surfcheck").mkdir()
    inner = tmp_path / "project" / "suites"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    (tmp_path / "project" / "pytest.ini").touch()
    assert surf_folder() == inner / ".surfcheck"
    (tmp_path / "project" / ".surfcheck").mkdir()
    assert surf_folder() == tmp_path / "project" / ".surfcheck"
