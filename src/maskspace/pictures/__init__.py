"""Pictures: arrays painted in colour, sheets of them, and plots.

Arrays are drawn with numpy and Pillow, plots by matplotlib. The same input gives the same picture,
and a file appears whole.
"""

from maskspace.pictures.painting import direction_colors as direction_colors
from maskspace.pictures.painting import feature_colors as feature_colors
from maskspace.pictures.painting import label_colors as label_colors
from maskspace.pictures.painting import outlines as outlines
from maskspace.pictures.painting import paint_click as paint_click
from maskspace.pictures.painting import paint_errors as paint_errors
from maskspace.pictures.painting import paint_labels as paint_labels
from maskspace.pictures.painting import paint_level_lines as paint_level_lines
from maskspace.pictures.painting import paint_masks as paint_masks
from maskspace.pictures.painting import ramp_colors as ramp_colors
from maskspace.pictures.partitions import mean_colors as mean_colors
from maskspace.pictures.partitions import paint_borders as paint_borders
from maskspace.pictures.partitions import shown_side as shown_side
from maskspace.pictures.partitions import slider_webp as slider_webp
from maskspace.pictures.partitions import steady_partitions as steady_partitions
from maskspace.pictures.plots import Histogram as Histogram
from maskspace.pictures.plots import Line as Line
from maskspace.pictures.plots import plot_curves as plot_curves
from maskspace.pictures.plots import plot_histograms as plot_histograms
from maskspace.pictures.plots import plot_histories as plot_histories
from maskspace.pictures.plots import plot_parallel as plot_parallel
from maskspace.pictures.plots import plot_scatter as plot_scatter
from maskspace.pictures.sheets import contact_sheet as contact_sheet
from maskspace.pictures.sheets import fit_image as fit_image
from maskspace.pictures.sheets import fit_labels as fit_labels
from maskspace.pictures.sheets import fit_map as fit_map
from maskspace.pictures.sheets import fitted_size as fitted_size
from maskspace.pictures.sheets import save_image as save_image
