// The camera: opening it, taking JPEG frames, and plain words for what goes wrong.

const QUALITY = 0.85;
const LONGEST_PX = 640; // more pixels cost time and show no more of an expression at 128 px

export class CameraError extends Error {
  // kind: "insecure", "denied", "none", "taken" or "other".
  constructor(kind, text) {
    super(text);
    this.kind = kind;
  }
}

export class Camera {
  // onLost: called when a running camera is unplugged or taken away.
  constructor(video, onLost) {
    this.video = video;
    this.onLost = onLost;
    this.stream = null;
    this.canvas = document.createElement("canvas");
  }

  async open() {
    if (!navigator.mediaDevices) throw new CameraError("insecure", insecureText());
    this.close();
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } },
      });
    } catch (error) {
      throw described(error);
    }
    const [track] = this.stream.getVideoTracks();
    track.addEventListener("ended", () => {
      this.close();
      this.onLost(new CameraError("lost", "The camera stopped. Plug it in or free it, then press Start."));
    });
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  get isOpen() {
    return this.stream !== null && this.video.videoWidth > 0;
  }

  // The current picture: {blob, width, height}; null while there is none.
  async frame() {
    const { videoWidth, videoHeight } = this.video;
    if (!this.isOpen) return null;
    const scale = Math.min(1, LONGEST_PX / Math.max(videoWidth, videoHeight));
    const width = Math.round(videoWidth * scale);
    const height = Math.round(videoHeight * scale);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    this.canvas.getContext("2d", { alpha: false }).drawImage(this.video, 0, 0, width, height);
    const blob = await new Promise((done) => this.canvas.toBlob(done, "image/jpeg", QUALITY));
    return blob && { blob, width, height };
  }
}

// Calls back when a missing camera may have come: one was plugged in, or the permission changed.
export async function onCameraChange(call) {
  navigator.mediaDevices?.addEventListener("devicechange", call);
  try {
    const permission = await navigator.permissions.query({ name: "camera" });
    permission.addEventListener("change", () => permission.state === "granted" && call());
  } catch {
    // This browser does not tell; Start tries again.
  }
}

function described(error) {
  switch (error.name) {
    case "NotAllowedError":
      return new CameraError("denied",
        "The browser was not allowed to use the camera. Allow it with the camera sign in the address bar, or in the system's privacy settings, then press Start.");
    case "NotFoundError":
    case "OverconstrainedError":
      return new CameraError("none", "No camera was found. Plug one in; the page will notice.");
    case "NotReadableError":
    case "AbortError":
      return new CameraError("taken", "The camera is in use by another program. Close that program, then press Start.");
    default:
      return new CameraError("other", `The camera cannot be used (${error.name}: ${error.message}).`);
  }
}

function insecureText() {
  const port = location.port || "443";
  return "Browsers give a camera only to https pages and to this computer's own. If the server runs elsewhere, "
    + `run “ssh -L ${port}:127.0.0.1:${port} MACHINE” here and open http://127.0.0.1:${port}/.`;
}
