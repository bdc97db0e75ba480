"""`say`: speak a text into a file or a pipe."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands import flags
from engines.errors import BadControl, BadText, Cancelled, InvalidRequest

if TYPE_CHECKING:
    from engines.api import SpeechRequest
    from studio.jobs import Job

EXAMPLES = """\
examples:
  python app.py say "Good morning." -o morning.wav
  python app.py say -f book.txt -o book.mp3 --preset audiobook --captions book.srt
  echo "Good morning." | python app.py say - -o - | aplay
"""
TERMINATED = 143  # 128 + SIGTERM
BYTES_A_CHARACTER = 4  # at most, in UTF-8


def add(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "say",
        help="speak a text into a file or a pipe",
        description="Speak a text into a sound file, or stream it to another program.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.late_epilog = _epilog
    parser.add_argument("text", nargs="?", help="what to say; - reads it from standard input")
    parser.add_argument("-f", "--file", type=Path, help="read the text from a UTF-8 file")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where the sound goes; - streams it to a pipe"
    )
    parser.add_argument("--format", metavar="NAME", help="default: what the file's ending says")
    parser.add_argument(
        "--captions", type=Path, metavar="FILE", help="write captions too, as .srt or .vtt"
    )
    voice = parser.add_argument_group("voice")
    voice.add_argument("--engine", metavar="NAME")
    voice.add_argument("--voice", metavar="ID", help="see `python app.py voices`")
    voice.add_argument("--language", metavar="TAG", help="such as de or en-GB")
    voice.add_argument("--preset", metavar="ID", help="an engine preset, such as audiobook")
    voice.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="controls",
        help="set a control of the engine; may be given several times",
    )
    voice.add_argument("--seed", metavar="NUMBER", help="makes a varying engine repeatable")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    flags.add_device(parser, suppress=True)
    flags.add_folders(parser, suppress=True)


def _epilog() -> str:
    from commands.catalogue import catalogue

    return f"{EXAMPLES}\n{catalogue()}"


def run(arguments: argparse.Namespace) -> int:
    from commands import output

    target = output.target(arguments.output, arguments.format)
    captions = output.captions_target(arguments.captions)
    settings = flags.settings(arguments)
    request = _request(arguments, settings.max_chars)
    with _Ending() as ending:
        from commands.progress import Listener
        from studio.studio import Studio

        with closing(Studio(settings)) as studio:
            ending.job = job = studio.submit(request)
            with Listener(job, quiet=arguments.quiet) as listener:
                output.write(target, job, listener.sounds())
            if captions:
                captions.write(listener.timings)
            listener.summarise(target.title)
    return 0


class _Ending:
    """Ctrl-C and a plain `kill` end the work, and neither leaves half a file.

    The job is cancelled as well, since Python drops an exception that a signal raises while an
    object is being deleted.
    """

    def __init__(self) -> None:
        self.job: Job | None = None
        self._number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Ending:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell's background job has it
                self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is not None and issubclass(kind, Cancelled):
            self._raise()

    def _end(self, number: int, _frame: object) -> None:
        self._number = number
        if self.job is not None:
            self.job.cancel()
        self._raise()

    def _raise(self) -> None:
        """What the signal that came is to Python; nothing where none came."""
        if self._number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._number:
            sys.exit(TERMINATED)


def _request(arguments: argparse.Namespace, max_chars: int) -> SpeechRequest:
    from engines.api import SpeechRequest

    return SpeechRequest(
        text=_text(arguments.text, arguments.file, max_chars),
        engine=arguments.engine,
        voice=arguments.voice,
        language=arguments.language,
        device=None if arguments.device == "auto" else arguments.device,
        controls=_controls(arguments.controls),
        seed=_seed(arguments.seed),
        preset=arguments.preset,
    )


def _seed(given: str | None) -> Any:
    """The number, or the text as it was given: the studio's own message says what a seed is."""
    try:
        return None if given is None else int(given)
    except ValueError:
        return given


def _controls(given: Sequence[str]) -> dict[str, object]:
    controls: dict[str, object] = {}
    for setting in given:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise BadControl(
                f"--set was {setting!r:.80}.",
                "It takes NAME=VALUE.",
                "List the controls with `python app.py voices --controls`.",
            )
        controls[name.strip()] = value.strip()
    return controls


def _text(given: str | None, file: Path | None, max_chars: int) -> str:
    """The text from the command line, a file or standard input; read no further than is allowed."""
    if (given is None) == (file is None):
        raise InvalidRequest(
            "There is no text." if given is None else "There are two texts.",
            "Give either a text or a file.",
            'Write `say "Good morning."`, `say -f book.txt`, or `say -` for standard input.',
        )
    if given is not None and given != "-":
        return given
    limit = max_chars * BYTES_A_CHARACTER
    if file is None or str(file) == "-":
        if sys.stdin.isatty():
            print("Type the text, then Ctrl-D on a line of its own.", file=sys.stderr)
        source, content = "Standard input", sys.stdin.buffer.read(limit + 1)
    else:
        source, content = str(file), _read_file(file, limit + 1)
    if len(content) > limit:
        raise BadText(
            f"{source} holds more than {limit:,} bytes.",
            f"One request takes at most {max_chars:,} characters.",
            "Speak it in parts, a chapter at a time.",
        )
    return _decoded(content, source)


def _read_file(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        raise InvalidRequest(
            f"The file {str(file)!r} cannot be read ({error.strerror}).",
            "",
            "Check its name and rights.",
        ) from None


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadText(
            f"{source} is not UTF-8 at line {line} (byte {error.start}).",
            "The text has to be UTF-8.",
            "Save it as UTF-8 in a text editor, or convert it with iconv.",
        ) from None
