import { uuidv4 } from "./ids";
import type { Storage } from "./storage";

const VISITOR_KEY = "sluice_visitor";
const USER_KEY = "sluice_user";

/** Who is here: a random id for the browser and, once told, the site's own id for the person. */
export interface Visitor {
  visitorId(): string;
  userId(): string | undefined;
  identify(userId: string): void;
  forget(): void;
}

// Read from storage each time: another tab may have signed in, or forgotten, since.
export function createVisitor(storage: Storage): Visitor {
  return {
    visitorId() {
      let id = storage.read(VISITOR_KEY);
      if (!id) storage.write(VISITOR_KEY, (id = uuidv4()));
      return id;
    },
    userId: () => storage.read(USER_KEY) || undefined,
    identify: (userId) => storage.write(USER_KEY, userId),
    forget() {
      storage.remove(VISITOR_KEY);
      storage.remove(USER_KEY);
    },
  };
}
