"""What proposals can be ranked by: the values of the option `ranking`, in words for tables."""

RANKINGS: dict[str, str] = {
    "persistence": "persistence in the merge tree, times the root of the area",
    "area": "area, largest first",
    "strength": "height at which the region is merged into another, highest first",
    "stability": "number of scales that give the region, then area",
}
