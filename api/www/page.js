// What every page has: a title, a place for an error, and data that is read again and again.
import { Refused } from "./client.js";
import { h, setShown, setText } from "./view.js";

export class Page {
  constructor(title, { everyMs = 0, scope = null, lead = "" } = {}) {
    Object.assign(this, { everyMs, scope });
    this.note = h("p", { class: "note bad", role: "alert", hidden: true });
    this.rightsNote = h("p", { class: "note", hidden: true });
    this.tools = h("div", { class: "tools" });
    this.title = h("h1", {}, title);
    this.element = h("div", { class: "page" },
      h("div", { class: "head" }, h("div", {}, this.title,
        lead ? h("p", { class: "lead" }, lead) : null), this.tools), this.note, this.rightsNote);
  }

  // app: {rights, refused(error)}. Reads once and, with everyMs, until the signal.
  start(signal, app) {
    Object.assign(this, { signal, app });
    const why = this.scope ? app.rights.why(this.scope) : "";
    setText(this.rightsNote, why);
    setShown(this.rightsNote, why !== "");
    if (this.everyMs > 0) {
      const timer = setInterval(() => this.look(), this.everyMs);
      signal.addEventListener("abort", () => clearInterval(timer));
      this.halt = () => clearInterval(timer);
    }
    this.look();
  }

  get writable() {
    return !this.scope || this.app.rights.may(this.scope);
  }

  // A control that changes something: off, with the reason, where the key may not.
  guard(control, isOff = false) {
    control.disabled = isOff || !this.writable;
    control.title = this.writable ? "" : this.app.rights.why(this.scope);
  }

  async look() {
    if (this.looking || document.hidden) return;
    this.looking = true;
    try {
      await this.read();
      if (this.failedToRead && !this.signal.aborted) setShown(this.note, false);
      this.failedToRead = false;
    } catch (error) {
      this.failedToRead = true;
      this.fail(error);
    } finally {
      this.looking = false;
    }
  }

  async read() {}

  fail(error) {
    if (this.signal.aborted) return;
    this.app.refused(error);
    setText(this.note, error instanceof Refused ? error.message
      : `Sluice does not answer (${error.message}).`);
    setShown(this.note, true);
  }

  // Runs what a person asked for; its error is shown, and its button is off meanwhile.
  async act(button, work) {
    button.disabled = true;
    setShown(this.note, false);
    try {
      return await work();
    } catch (error) {
      this.fail(error);
      return null;
    } finally {
      this.guard(button);
    }
  }
}
