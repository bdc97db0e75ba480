"""Loading a model before it is needed, for the engines that can."""

from __future__ import annotations

import logging
import threading
from typing import Protocol, runtime_checkable

from engines import registry
from engines.api import CancelToken
from engines.errors import Cancelled, EngineFailure, VivavoceError
from engines.runtime import device as devices

log = logging.getLogger("vivavoce.models")


@runtime_checkable
class WarmEngine(Protocol):
    """An engine that can load ahead of the first request."""

    def warm_up(self, device: str, cancel: CancelToken) -> None:
        """Load what speaking needs onto a device (`DeviceSpec.name`) and let it stay there.

        Raises:
            VivavoceError: nothing is installed, no memory, or `cancel` was set.
        """
        ...


def can_warm_up(engine: str) -> bool:
    return engine in registry.names() and hasattr(registry.engine_class(engine), "warm_up")


class Loading:
    """An engine's model on its way into memory, in a thread of its own.

    Args:
        device: what `devices.parse` takes.

    Raises:
        UnknownDevice, UnsupportedRuntime: it does not run there.
    """

    def __init__(self, engine: WarmEngine, name: str, device: str) -> None:
        capability = registry.engine_class(name).capability
        self.device = devices.resolve(device, capability.runtimes()).name
        self.error: VivavoceError | None = None
        self._engine = engine
        self._cancel = CancelToken()
        self._thread = threading.Thread(target=self._run, name=f"load-{name}", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def cancel(self) -> None:
        self._cancel.cancel()

    def wait(self, timeout: float) -> bool:
        self._thread.join(timeout)
        return self.over

    def _run(self) -> None:
        try:
            self._engine.warm_up(self.device, self._cancel)
        except Cancelled:
            pass
        except VivavoceError as error:
            self.error = error
        except Exception as error:
            log.exception("loading ahead failed")
            self.error = EngineFailure(
                f"The model could not be loaded: {type(error).__name__}: {error}.", "", "Try again."
            )
