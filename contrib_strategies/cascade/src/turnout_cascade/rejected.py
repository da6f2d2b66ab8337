"""The error with which an answer is not accepted."""

from turnout import Fault, LLMResponseError


class AnswerRejectedError(LLMResponseError):
    """An answer did not hold; ``answer`` is its text, ``above`` the models that may do better.

    It is the deployment's fault, so the strategies are asked again.
    """

    fault = Fault.DEPLOYMENT

    def __init__(self, message: str, *, answer: str, above: tuple[str, ...], host: str, model: str) -> None:
        super().__init__(message, None, {"above": list(above)}, host=host, model=model)
        self.answer = answer
        self.above = above
