import type { Event } from "./event";
import { listen } from "./guard";
import { uuidv4 } from "./ids";

/**
 * Where events wait until the collector has them, whatever becomes of the page: IndexedDB, which
 * outlives a crash of the browser (localStorage does not), and while the page is hidden a note in
 * localStorage, which is written at once.
 *
 * Each record belongs to the page that made it. A page holds a Web Lock as long as it lives; what
 * belongs to none is claimed by the next page, in one transaction, so that no two have it.
 */
export interface Outbox {
  put(event: Event): void;
  remove(eventIds: string[]): void;
  clear(): void;
  /** Note what is on its way and may have been cut off; `isWell` while the collector answers. */
  leave(onTheWay: string[], isWell: boolean): void;
  /** The page is seen again: what was noted is its own once more. */
  stay(): void;
  /**
   * What pages left that are no more: lost; on its way a moment ago when all was well, and so lost
   * only if the collector cannot be reached now; older than three days.
   */
  claim(): Promise<{ lost: Event[]; doubtful: Event[]; expired: Event[] }>;
}

interface Note {
  at: number;
  isWell: boolean;
  onTheWay: string[];
  /** What IndexedDB may not have yet. */
  unsaved: Event[];
}

const MAX_AGE_MS = 72 * 60 * 60 * 1000;
const DOUBT_MS = 3_000;
const STORE = "events";

export function createOutbox(name: string, now: () => number): Outbox {
  const page = name + "_" + uuidv4();
  const unsaved = new Map<string, Event>();
  let release: (() => void) | undefined;
  let opened: Promise<IDBDatabase> | undefined;

  /** Do something in one transaction; resolves to whether it was done. */
  async function change(run: (store: IDBObjectStore) => void): Promise<boolean> {
    try {
      opened ||= new Promise((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE);
        request.onsuccess = () => resolve(request.result);
        request.onerror = reject;
      });
      const transaction = (await opened).transaction(STORE, "readwrite");
      run(transaction.objectStore(STORE));
      return await new Promise((resolve) => {
        transaction.oncomplete = () => resolve(true);
        transaction.onabort = () => resolve(false);
      });
    } catch {
      return false; // the browser keeps no database for us
    }
  }

  // https://developer.mozilla.org/docs/Web/API/Web_Locks_API : only on secure pages.
  const { locks } = navigator;
  function hold(): void {
    if (locks && !release) {
      release = () => {};
      void locks.request(page, () => new Promise<void>((resolve) => (release = resolve)));
    }
  }

  listen(window, "pagehide", () => {
    // A page that holds a lock is not kept for the back button.
    if (release) release();
    release = undefined;
  });

  return {
    put(event) {
      hold();
      unsaved.set(event.eventId!, event);
      void change((store) => store.put({ page, event }, event.eventId!)).then(
        (done) => done && unsaved.delete(event.eventId!),
      );
    },
    remove(ids) {
      ids.forEach((id) => unsaved.delete(id));
      void change((store) => ids.forEach((id) => store.delete(id)));
    },
    clear() {
      unsaved.clear();
      void change((store) => store.clear());
    },
    leave(onTheWay, isWell) {
      const note: Note = { at: now(), isWell, onTheWay, unsaved: [...unsaved.values()] };
      localStorage[page] = JSON.stringify(note);
    },
    stay() {
      hold();
      localStorage.removeItem(page);
    },
    async claim() {
      const alive = locks ? (await locks.query()).held!.map((lock) => lock.name) : [];
      const isLeft = (owner: string) => owner !== page && !alive.includes(owner);
      const found = new Map<string, Event>();
      const doubted: string[] = [];
      for (const key in { ...localStorage }) {
        if (key.length === page.length && key.startsWith(name) && isLeft(key)) {
          const note: Note = JSON.parse(localStorage[key]);
          localStorage.removeItem(key);
          note.unsaved.forEach((event) => found.set(event.eventId!, event));
          if (note.isWell && now() - note.at < DOUBT_MS) doubted.push(...note.onTheWay);
        }
      }
      hold();
      await change((store) => {
        const all = store.getAll();
        all.onsuccess = () => {
          all.result.forEach(({ page: owner, event }) => isLeft(owner) && found.set(event.eventId, event));
          found.forEach((event, id) => store.put({ page, event }, id));
        };
      });
      const events = [...found.keys()].sort().map((id) => found.get(id)!);
      const isOld = ({ occurredAt }: Event) => now() - Date.parse(occurredAt as string) > MAX_AGE_MS;
      const isDoubtful = ({ eventId }: Event) => doubted.includes(eventId!);
      const fresh = events.filter((event) => !isOld(event));
      return {
        lost: fresh.filter((event) => !isDoubtful(event)),
        doubtful: fresh.filter(isDoubtful),
        expired: events.filter(isOld),
      };
    },
  };
}
