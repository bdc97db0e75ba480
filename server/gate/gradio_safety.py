"""What Gradio leaves open in an app that is mounted, as ours is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import gradio


def harden(page: gradio.Blocks) -> None:
    """Close it; to be called once the page is mounted.

    Gradio looks at which files an event may read only where the page was started by `launch`: on a
    mounted one, whoever may send an event reads every file of the host that a file component is
    given the path of. And it fetches addresses that are given in a file's place; nothing here needs
    that, and who may ask us shall not ask others through us.
    """
    from gradio import processing_utils

    page.has_launched = True
    processing_utils.async_ssrf_protected_get = _refuse


async def _refuse(url: str) -> NoReturn:
    from gradio.exceptions import InvalidPathError

    raise InvalidPathError(f"{url:.80} is not fetched. Upload the file itself.")
