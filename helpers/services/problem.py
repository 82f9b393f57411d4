"""The one error of servers. Apart, so that the providers need not import what starts them."""


class ServiceProblem(RuntimeError):
    """A server is not to be had, or is gone; the message says what to do next."""

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: the reader sees what to do, not our stack.
        return [f"ServiceProblem: {self}"]
