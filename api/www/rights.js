// What the key of this tab may do. The service says so only by refusing, so each area is asked
// once for its smallest answer. A control that would be refused is disabled, with the reason.
import { Refused, ask } from "./client.js";

const PROBES = { stats: "/v1/stats", jobs: "/v1/jobs?limit=1", proxy: "/v1/models",
  admin: "/v1/admin/keys" };

export class Rights {
  constructor() {
    this.known = new Map();
  }

  async learn() {
    const known = new Map();
    await Promise.all(Object.entries(PROBES).map(async ([scope, path]) => {
      try {
        await ask(path);
        known.set(scope, true);
      } catch (error) {
        if (error instanceof Refused && error.status === 403) known.set(scope, false);
      }
    }));
    this.known = known;
  }

  // What is not known is left to the service to refuse.
  may(scope) {
    return this.known.get(scope) !== false;
  }

  why(scope) {
    return this.may(scope) ? "" : `Read only: your key has not the scope “${scope}”.`;
  }
}
