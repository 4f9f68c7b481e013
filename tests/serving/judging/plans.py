"""Plans without photos, for tests of schedules and raters."""

from imagefec.serving.judging.schedule import Plan
from imagefec.serving.judging.triplets import assign_splits


def plan_of(n=60, labels=("joy", "fear", "awe"), seed=0, **options):
    names = [f"f{i:03d}" for i in range(n)]
    kinds = [labels[i % len(labels)] for i in range(n)]
    splits = assign_splits(kinds, seed, 0.1, 0.2)
    return Plan(seed, dict(zip(names, splits)), dict(zip(names, kinds)), **options)
