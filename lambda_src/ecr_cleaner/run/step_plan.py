"""The first step of a run: freeze what is scanned and what is cleaned."""

from __future__ import annotations

import json
from dataclasses import asdict

from ecr_cleaner.core.fan_out import Frozen, Step, fingerprint, shares_of
from ecr_cleaner.core.rotation import rotated
from ecr_cleaner.run.cleaner import Cleaner
from ecr_cleaner.run.run_objects import FROZEN, SHARES, TARGETS, RunObjects


class Planner(Cleaner):
    """Finds out which targets and repositories there are."""

    def freeze(self, step: Step, objects: RunObjects) -> Frozen:
        """Write the frozen list, and what Step Functions calls for it; return the list."""
        began = self._deadline.now()
        self._begin()
        repositories = self._registry.repositories()
        chosen, not_matching = self._chosen(repositories)
        names = [one.name for one in rotated(chosen, began)]
        frozen = Frozen(
            run=step.run,
            time=began,
            settings=fingerprint(self._settings),
            dry_run=self._settings.dry_run,
            targets=self._locations.all,
            organization=self._locations.scanned.organization,
            repositories=tuple(repositories),
            shares=shares_of(names, self._settings.max_deletions),
            not_matching=not_matching,
        )
        objects.create(FROZEN, frozen.to_json())
        objects.put(TARGETS, json.dumps([asdict(one) for one in frozen.targets]))
        objects.put(SHARES, json.dumps([{"share": one} for one in range(len(frozen.shares))]))
        return frozen
