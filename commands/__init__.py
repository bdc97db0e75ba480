"""The command line: one file a command, over the same studio as the browser and HTTP."""
