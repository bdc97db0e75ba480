"""What can go wrong on the way to a model, in words that say what to do."""

from __future__ import annotations

from engines.errors import InvalidRequest, VivavoceError


class UnknownModel(InvalidRequest):
    code = "unknown_model"


class LicenceNotAccepted(InvalidRequest):
    """The licence has to be read first; `given` says which one and why."""

    code = "licence_not_accepted"


class NotAllowedHere(InvalidRequest):
    """The machine is shared: visitors do not decide what lies on its disk."""

    code = "not_allowed_here"


class ModelInUse(InvalidRequest):
    code = "model_in_use"


class Offline(VivavoceError):
    """No connection is made in this run."""

    code = "offline"


class DownloadFailed(VivavoceError):
    code = "download_failed"


class ChecksumMismatch(DownloadFailed):
    """What arrived is not what was published."""

    code = "checksum_mismatch"


class BadCatalogue(VivavoceError):
    code = "bad_catalogue"
