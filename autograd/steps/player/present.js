// How is a pass shown to a class? The player fills the screen; where it may not, the window.

/** Puts a host on the whole screen and back; `changed` is told whether it is there. */
class Presenter {
  constructor(host, changed) {
    this.host = host;
    this.changed = changed;
    this.on = false;
    host.addEventListener("fullscreenchange", () => {
      if (!host.matches(":fullscreen")) this.set(false); // the reader left it by Escape
    });
  }

  toggle() {
    if (this.on) return this.leave();
    this.set(true);
    // Refused in a frame that may not, the player has the window all the same.
    if (this.host.requestFullscreen) this.host.requestFullscreen().catch(() => {});
  }

  leave() {
    if (this.host.matches(":fullscreen")) document.exitFullscreen();
    this.set(false);
  }

  set(on) {
    if (on === this.on) return;
    this.on = on;
    this.host.toggleAttribute("data-present", on);
    this.changed(on);
    if (!on) this.host.scrollIntoView({ block: "nearest" }); // the page had closed up without it
  }
}
