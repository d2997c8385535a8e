"""Mean and spread of ImageNet's colours, R, G and B in [0, 1], that networks normalise by."""

MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)
