"""The browser studio: Gradio Blocks, one file a tab."""
