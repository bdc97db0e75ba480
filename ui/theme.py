"""Colours and fonts. Every font is one that the system has: the page asks no other host."""

from __future__ import annotations

import gradio as gr

TEAL = gr.themes.Color(
    c50="#effaf8",
    c100="#d5f2ec",
    c200="#aee4da",
    c300="#7acfc2",
    c400="#46b3a5",
    c500="#25958a",
    c600="#157870",
    c700="#11605b",
    c800="#114d4a",
    c900="#11403e",
    c950="#052625",
    name="teal",
)
SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def theme() -> gr.themes.Base:
    """The theme, light and dark; style.css builds on its variables."""
    return gr.themes.Base(
        primary_hue=TEAL,
        secondary_hue=TEAL,
        neutral_hue="stone",
        font=SANS,
        font_mono=MONO,
        radius_size="md",
        spacing_size="sm",
        text_size="md",
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_300",
        block_title_text_weight="500",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        block_border_width="0px",
        block_padding="0",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_600",
        input_border_color_focus_dark="*primary_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
    )
