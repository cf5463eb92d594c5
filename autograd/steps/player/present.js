// How is a pass shown to a class? The player fills the screen or, if it may not, the window.

/** Puts a host in full screen and back; `changed` is told whether it is. */
class Presenter {
  constructor(host, changed) {
    this.host = host;
    this.changed = changed;
    this.on = false;
    host.addEventListener("fullscreenchange", () => {
      if (!this.filled) this.set(false); // the reader left it with Escape
      else if (!this.on) document.exitFullscreen(); // left before the screen was filled
    });
  }

  /** Whether the host fills the screen; never where a browser does not fill it. */
  get filled() {
    return this.host.getRootNode().fullscreenElement === this.host;
  }

  toggle() {
    if (this.on) return this.leave();
    this.set(true);
    // In a frame that may not use full screen, the player still fills the window.
    if (this.host.requestFullscreen) this.host.requestFullscreen().catch(() => {});
  }

  leave() {
    if (this.filled) document.exitFullscreen();
    this.set(false);
  }

  set(on) {
    if (on === this.on) return;
    this.on = on;
    this.host.toggleAttribute("data-present", on);
    this.changed(on);
    if (!on) this.host.scrollIntoView({ block: "nearest" }); // the page collapsed without it
  }
}
