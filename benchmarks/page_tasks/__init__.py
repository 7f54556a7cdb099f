"""Three tasks on the page, done by mouse and by keyboard in a real Chromium: clicks, keys and seconds."""
