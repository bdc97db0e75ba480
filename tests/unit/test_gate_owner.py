"""Whose a request or an event is, with and without the gate."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
import pytest
from starlette.requests import Request

from server import owner as server_owner
from ui import owner as ui_owner


def request(shared: bool, **state) -> Request:
    settings = SimpleNamespace(shared=shared)
    app = SimpleNamespace(state=SimpleNamespace(context=SimpleNamespace(settings=settings)))
    return Request({"type": "http", "app": app, "headers": [], "state": state})


def visitor(shared: bool, session: str | None = "abc", **state) -> tuple:
    studio = SimpleNamespace(settings=SimpleNamespace(shared=shared))
    return studio, gr.Request(request=request(shared, **state), session_hash=session)


@pytest.mark.parametrize("shared", [False, True])
def test_the_gate_has_said_whose_it_is(shared) -> None:
    assert server_owner.owner_of(request(shared, owner="ada")) == "ada"
    assert ui_owner.owner_of(*visitor(shared, owner="ada")) == "ada"
    assert ui_owner.owner_of(*visitor(shared, owner="ada", new_visitor=False)) == "ada"


def test_without_a_gate_ones_own_machine_is_ones_own() -> None:
    assert server_owner.owner_of(request(False)) == ""
    assert ui_owner.owner_of(*visitor(False)) == ""


def test_without_a_gate_nobody_on_a_shared_machine_is_anybody_else() -> None:
    assert server_owner.owner_of(request(True)) != server_owner.owner_of(request(True))
    one, again = (ui_owner.owner_of(*visitor(True)) for _ in range(2))
    assert one == again != "", "the same page"
    assert ui_owner.owner_of(*visitor(True, "other")) != one
    nameless = [ui_owner.owner_of(*visitor(True, None)) for _ in range(2)]
    assert len({*nameless, one, ""}) == 4


def test_a_browser_that_refuses_cookies_is_known_by_its_page() -> None:
    first = ui_owner.owner_of(*visitor(True, owner="visitor-1", new_visitor=True))
    second = ui_owner.owner_of(*visitor(True, owner="visitor-2", new_visitor=True))
    assert first == second and first.startswith("page-")
