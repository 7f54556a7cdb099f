"""A real RTSP server: a live stream of a moving test pattern and a tone, for any number of viewers.

Run it with the system's own python3, which has the GStreamer bindings: `rtsp_server.py USER PASS`. It prints its port,
and serves `rtsp://USER:PASS@127.0.0.1:PORT/camera` until it is killed.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - after the versions are set

LAUNCH = """(
    videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=96,framerate=10/1
        ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 ! rtph264pay name=pay0 pt=96 config-interval=-1
    audiotestsrc is-live=true ! audio/x-raw,rate=16000,channels=1 ! avenc_aac ! rtpmp4gpay name=pay1 pt=97
)"""


def main(user: str, password: str) -> None:
    """Serve until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LAUNCH)
    factory.set_shared(True)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)  # noqa: FBT003 - its signature
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)  # noqa: FBT003 - the same
    factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)  # noqa: T201 - what the test waits for
    GLib.MainLoop().run()


main(*sys.argv[1:])
