"""Every error has its own code and says what was given, what is allowed and what to do."""

from engines.errors import Cancelled, VivavoceError


def subclasses(kind: type[VivavoceError]) -> list[type[VivavoceError]]:
    return [kind, *(deep for direct in kind.__subclasses__() for deep in subclasses(direct))]


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in subclasses(VivavoceError)]
    assert len(codes) == len(set(codes)) > 15


def test_message_joins_the_three_parts() -> None:
    error = VivavoceError("speed was 0.", "It takes 0.25 to 4.", "Change it.", param="speed")
    assert str(error) == "speed was 0. It takes 0.25 to 4. Change it."
    assert error.param == "speed"


def test_message_without_all_parts_has_no_gaps() -> None:
    assert str(VivavoceError("a.", "", "c.")) == "a. c."
    assert str(Cancelled()) == "The request was cancelled."
