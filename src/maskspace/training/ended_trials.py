"""Mark the folders of trials that Ray Tune has ended: a resumed sweep does not train them further.

This is a module of its own because Tune pickles its callbacks, and cannot always pickle a class
that is made inside a function. It is imported only when a sweep begins.
"""

from pathlib import Path
from typing import Any

from ray import tune

from maskspace.training.search_space import chosen_trial

#: The file in the folder of such a trial.
ENDED = "ended"


class Marker(tune.Callback):
    """Mark `folder/TRIAL` of every trial that ends, whether it finished or was stopped.

    Example:
        >>> import json, tempfile
        >>> from types import SimpleNamespace
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "balls").mkdir()
        >>> points = json.dumps([{"name": "balls", "objective": {"name": "balls", "options": {}}}])
        >>> Marker(folder).on_trial_complete(1, [], SimpleNamespace(config={"trials": points}))
        >>> (folder / "balls" / ENDED).is_file()
        True
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Mark a trial; a trial that never began has no folder."""
        folder = self.folder / chosen_trial(trial.config).name
        if folder.is_dir():
            (folder / ENDED).touch()
