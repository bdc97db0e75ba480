"""How long until app.py answers, beside a bare Gradio Blocks app: `python -m bench.startup`."""

from __future__ import annotations

import statistics
import sys

from bench import processes, report

ROUNDS = 3
GOAL = 2.0
BARE_APP = """
import sys
import gradio as gr
with gr.Blocks() as blocks:
    gr.Textbox(label="Text")
blocks.launch(server_port=int(sys.argv[1]), quiet=True)
"""


def main() -> int:
    bare: list[float] = []
    ours: list[float] = []
    for number in range(-1, ROUNDS):  # round -1 warms the disk cache and does not count
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
        port = processes.free_port()
        command = [sys.executable, "-c", BARE_APP, str(port)]
        with processes.running(command, port, "/") as (_, seconds):
            bare.append(seconds)
        with processes.app(path="/") as (_, _, seconds):
            ours.append(seconds)
    bare_median, our_median = statistics.median(bare[1:]), statistics.median(ours[1:])
    figure = report.Figure(
        "first answer of app.py / of a bare Gradio Blocks app",
        our_median / bare_median,
        GOAL,
        at_most=True,
        detail=f"{our_median:.2f} s and {bare_median:.2f} s, medians of {ROUNDS} starts",
    )
    return report.publish("startup", "Start-up", [figure])


if __name__ == "__main__":
    sys.exit(main())
