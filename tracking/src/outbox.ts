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
  remove(events: Event[]): void;
  clear(): void;
  /** Note what is on its way and may be cut off; `isWell` while the collector answers. */
  leave(onTheWay: Event[], isWell: boolean): void;
  /** The page is seen again: what was noted is its own once more. */
  stay(): void;
  /**
   * What pages left that are no more. With `isWell` without what was on its way when this tab went
   * from there to here: the collector answered before and answers now, so it has that.
   */
  claim(isWell: boolean): Promise<Event[]>;
}

interface Record {
  page: string;
  event: Event;
}

interface Note {
  at: number;
  isWell: boolean;
  /** The first page of the tab that left a note. */
  tab: string;
  /** Ids of what is on its way. */
  sent: string[];
  /** What IndexedDB may not have yet. */
  unsaved: Event[];
}

const NAVIGATION_MS = 3_000;
const STORE = "events";

export function createOutbox(name: string): Outbox {
  const page = name + "_" + uuidv4();
  const beganAt = Date.now();
  const unsaved = new Map<string, Event>();
  let opened: Promise<IDBDatabase> | undefined;
  let release: (() => void) | undefined;
  // https://developer.mozilla.org/docs/Web/API/Web_Locks_API : only on secure pages.
  const { locks } = navigator;

  /** Do something in one transaction; rejects where the browser keeps no database for us. */
  async function change(run: (store: IDBObjectStore) => void): Promise<void> {
    opened ||= new Promise((resolve, reject) => {
      const request = indexedDB.open(name);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onsuccess = () => resolve(request.result);
      request.onerror = reject;
    });
    const transaction = (await opened).transaction(STORE, "readwrite");
    run(transaction.objectStore(STORE));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = reject;
    });
  }

  function hold(): void {
    release ||= (locks?.request(page, () => new Promise<void>((resolve) => (release = resolve))), () => {});
  }

  const notes = () =>
    Object.keys(localStorage).filter((key) => key.startsWith(name + "_") && key.length === page.length);

  listen(window, "pagehide", () => {
    // A page that holds a lock is not kept for the back button.
    release?.();
    release = undefined;
  });

  return {
    put(event) {
      const id = event.eventId!;
      hold();
      unsaved.set(id, event);
      change((store) => store.put({ page, event }, id)).then(
        () => unsaved.delete(id),
        () => {},
      );
    },
    remove(events) {
      const ids = idsOf(events);
      ids.forEach((id) => unsaved.delete(id));
      if (opened) change((store) => ids.forEach((id) => store.delete(id))).catch(() => {});
    },
    clear() {
      unsaved.clear();
      sessionStorage.removeItem(name);
      notes().forEach((key) => localStorage.removeItem(key));
      change((store) => store.clear()).catch(() => {});
    },
    leave(onTheWay, isWell) {
      // Where nothing may be kept, nothing was opened.
      if (!opened) return;
      const tab = (sessionStorage[name] ||= page);
      const note: Note = { at: Date.now(), isWell, tab, sent: idsOf(onTheWay), unsaved: [...unsaved.values()] };
      if (onTheWay[0] || unsaved.size) localStorage[page] = JSON.stringify(note);
      else localStorage.removeItem(page);
    },
    stay() {
      if (!opened) return;
      hold();
      localStorage.removeItem(page);
    },
    async claim(isWell) {
      const alive = locks ? (await locks.query()).held!.map((lock) => lock.name) : [];
      const isLeft = (owner: string) => owner !== page && !alive.includes(owner);
      const found: { [id: string]: Event } = {};
      const delivered = new Set<string>();
      for (const key of notes().filter(isLeft)) {
        const note: Note = JSON.parse(localStorage[key]);
        localStorage.removeItem(key);
        note.unsaved.forEach((event) => (found[event.eventId!] = event));
        const isBefore = note.tab === sessionStorage[name] && beganAt - note.at < NAVIGATION_MS;
        if (isWell && note.isWell && isBefore) note.sent.forEach((id) => delivered.add(id));
      }
      await change((store) => {
        const all: IDBRequest<Record[]> = store.getAll();
        all.onsuccess = () => {
          all.result.forEach(({ page: owner, event }) => isLeft(owner) && (found[event.eventId!] = event));
          for (const id in found) delivered.has(id) ? store.delete(id) : store.put({ page, event: found[id] }, id);
        };
      }).catch(() => {});
      return Object.values(found).filter((event) => !delivered.has(event.eventId!));
    },
  };
}

export function idsOf(events: Event[]): string[] {
  return events.map((event) => event.eventId!);
}
