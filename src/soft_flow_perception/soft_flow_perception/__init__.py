"""Reads and calibrates cameras, and joins sensors into one observation a control tick."""

import os

# Seconds for which OpenCV waits for a frame of a V4L2 camera (its own default is 10). It reads this when it
# is imported first, and this package is imported before it does.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
