"""What proposals can be ranked by: the values of the option `ranking`, in words for tables."""

RANKINGS: dict[str, str] = {
    "persistence": "persistence in the merge tree, times the root of the area",
    "area": "area, largest first",
    "strength": "height at which the region is merged into another, highest first",
    "stability": "number of scales that give the region, then area",
    "predicted_iou": "the network's predicted IoU",
    "stability_score": "IoU of the masks at a higher and at a lower threshold",
    "mean_score": "mean of the network's predicted IoU and that of masks at two thresholds",
}
