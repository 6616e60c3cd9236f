// The camera as a <video>, and why there is none.

const REASONS = {
  NotAllowedError: 'The camera was refused. Allow it in the browser\'s settings for this page',
  NotFoundError: 'There is no camera',
  NotReadableError: 'The camera is in use by another program',
};

export class Camera {
  /** onended: called when the camera goes away by itself. */
  constructor(video, onended) {
    Object.assign(this, { video, onended, stream: null, stops: 0 });
  }

  /** wanted: which one, see `other`. Throws an Error whose message says why it does not start. */
  async start(wanted = { facingMode: 'user' }) {
    this.stop();
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error('The browser gives a camera only to pages over HTTPS or on localhost');
    }
    const { stops } = this;
    const video = { width: { ideal: 1280 }, height: { ideal: 720 }, ...wanted };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The camera does not start: ${error.message}`);
    }
    if (stops !== this.stops) { // it was stopped while the person was asked
      release(stream);
      return;
    }
    this.stream = stream;
    stream.getVideoTracks()[0].onended = this.onended;
    this.video.srcObject = stream;
    await this.video.play();
  }

  get settings() {
    return this.stream.getVideoTracks()[0].getSettings();
  }

  /** Whether the picture is shown as in a mirror, which people expect of a camera that sees them. */
  get isMirrored() {
    return this.settings.facingMode !== 'environment';
  }

  /**
   * What `start` needs for the other camera, or null if there is one only: front and back where
   * they say which they are, else the next one.
   */
  async other() {
    const { facingMode, deviceId } = this.settings;
    const devices = await navigator.mediaDevices.enumerateDevices();
    const all = devices.filter(({ kind }) => kind === 'videoinput');
    if (all.length < 2) return null;
    if (facingMode) return { facingMode: facingMode === 'user' ? 'environment' : 'user' };
    const next = all[(all.findIndex((each) => each.deviceId === deviceId) + 1) % all.length];
    return { deviceId: { exact: next.deviceId } };
  }

  /** While the page is hidden the camera records nothing. */
  set enabled(value) {
    for (const track of this.stream?.getTracks() ?? []) track.enabled = value;
  }

  stop() {
    this.stops += 1;
    release(this.stream);
    this.stream = null;
    this.video.srcObject = null;
  }
}

function release(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
