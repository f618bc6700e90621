"""Where pictures come from: devices, video files, folders; and the thread that reads them."""
