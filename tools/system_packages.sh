#!/bin/sh
# Name or install the system packages that the make targets need.
#
#   tools/system_packages.sh need WHAT...      exit 1 if something is missing, and print the command that installs it
#   tools/system_packages.sh install WHAT...   install what is missing with apt-get (as root)
#
# WHAT is one of: python venv java mvn npm chromium chinese-font redis-server kcat openssl rtsp-server benchmark-parts kustomize stamps prometheus mosquitto systemd-analyze
set -eu

JAVA_MAJOR=17

present() {
    case "$1" in
        python) python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ;;
        venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        # "java -version" writes to stderr, and vendors agree on its first line only.
        java) [ "$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')" -ge "$JAVA_MAJOR" ] 2>/dev/null ;;
        # For tests of live feeds: GStreamer's RTSP server, run by the system's python3.
        rtsp-server)
            /usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null &&
                gst-inspect-1.0 x264enc >/dev/null 2>&1 && gst-inspect-1.0 avenc_aac >/dev/null 2>&1
            ;;
        # The components of the generated benchmarks.
        benchmark-parts)
            command -v espeak-ng >/dev/null 2>&1 && command -v flite >/dev/null 2>&1 &&
                [ -f /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf ] &&
                [ -d /usr/share/asterisk/sounds/en_US_f_Allison ]
            ;;
        # Renders the Kubernetes manifests. Debian's kubectl is older than components, and Debian has no kustomize.
        kustomize) command -v kustomize >/dev/null 2>&1 || kubectl kustomize --help >/dev/null 2>&1 ;;
        # Node.js as page/package.json says.
        npm)
            command -v npm >/dev/null 2>&1 && node --version 2>/dev/null |
                awk -F '[v.]' '{ fits = $2 > 18 || ($2 == 18 && $3 >= 18) } END { exit !fits }'
            ;;
        # The page is tested in Chinese too, and its pictures show Chinese words.
        chinese-font)
            [ -f /usr/share/fonts/truetype/wqy/wqy-microhei.ttc ] || [ -n "$(fc-list :lang=zh-cn 2>/dev/null)" ]
            ;;
        # promtool checks and tests the alerts; a test runs the server.
        prometheus) command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1 ;;
        # An MQTT broker, for tests of alerts. Debian installs it where only root's PATH leads.
        mosquitto) command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] ;;
        stamps) [ -d /usr/share/tuxpaint/stamps/animals ] ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

package_of() {
    case "$1" in
        python) echo python3 ;;
        venv) echo python3-venv ;;
        java) echo openjdk-17-jre-headless ;;
        mvn) echo maven ;;
        npm) echo nodejs npm ;;
        chinese-font) echo fonts-wqy-microhei ;;
        rtsp-server)
            echo python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-tools gstreamer1.0-libav \
                gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
            ;;
        benchmark-parts) echo espeak-ng flite fonts-noto-color-emoji asterisk-core-sounds-en-wav ;;
        kustomize) echo kubectl ;;
        stamps) echo tuxpaint-stamps-default ;;
        systemd-analyze) echo systemd ;;
        *) echo "$1" ;;
    esac
}

described() {
    case "$1" in
        python) echo "Python 3.11 or newer" ;;
        venv) echo "Python's venv module" ;;
        java) echo "Java $JAVA_MAJOR or newer" ;;
        npm) echo "npm, with Node.js 18.18 or newer, which builds the page," ;;
        chromium) echo "Chromium, in which the page is tested," ;;
        chinese-font) echo "A font with Chinese characters, for the tests of the page," ;;
        rtsp-server) echo "GStreamer's RTSP server" ;;
        benchmark-parts) echo "What the generated benchmarks are made with" ;;
        kustomize) echo "kustomize, or kubectl of Kubernetes' own packages," ;;
        stamps) echo "The stamps of Tux Paint" ;;
        systemd-analyze) echo "systemd-analyze, which checks the units for systemd," ;;
        *) echo "$1" ;;
    esac
}

mode=$1
shift
missing=
for what in "$@"; do
    if ! present "$what"; then
        missing="$missing $(package_of "$what")"
        [ "$mode" = install ] || echo "$(described "$what") is missing: apt-get install $(package_of "$what")" >&2
    fi
done
[ -n "$missing" ] || exit 0
[ "$mode" = install ] || exit 1
echo "Installing the system packages:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 - one word for each package
apt-get install -y -qq --no-install-recommends $missing >/dev/null
