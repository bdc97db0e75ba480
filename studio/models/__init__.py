"""Published models: which there are, which lie in the models directory, and how they get there."""

from studio.models.catalogue import Catalogue, Family, Licence, Model
from studio.models.download import Download, DownloadState, Progress
from studio.models.installed import Installed, InstalledState
from studio.models.shelf import ModelShelf

__all__ = [
    "Catalogue",
    "Download",
    "DownloadState",
    "Family",
    "Installed",
    "InstalledState",
    "Licence",
    "Model",
    "ModelShelf",
    "Progress",
]
