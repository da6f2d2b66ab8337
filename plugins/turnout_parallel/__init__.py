"""Many at once: race, compare, vote, judge, and any number of prompts; ``turnout compare`` and ``batch``.

::

    async with Router() as router:
        async for number, result in map_prompts(router, ["Who was Ada?", "Who was Grace?"]):
            print(number, result)
"""

from turnout_parallel.judging import Judgement, judge
from turnout_parallel.mapping import map_prompts
from turnout_parallel.outcome import Outcome, answered
from turnout_parallel.plugin import Parallel
from turnout_parallel.together import compare, race
from turnout_parallel.voting import Vote, short_answer, vote

__all__ = [
    "Judgement",
    "Outcome",
    "Parallel",
    "Vote",
    "answered",
    "compare",
    "judge",
    "map_prompts",
    "race",
    "short_answer",
    "vote",
]
