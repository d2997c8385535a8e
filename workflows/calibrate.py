"""Stage `calibrate`: heights and ranks of the student's tree, fitted on training images."""
