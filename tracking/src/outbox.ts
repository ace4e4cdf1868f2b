import type { Event } from "./event";
import { attempt, listen } from "./guard";
import { uuidv4 } from "./ids";

/**
 * Where events wait until the collector has them, whatever becomes of the page: IndexedDB, which
 * outlives a crash of the browser (localStorage does not), and while the page is hidden a note in
 * localStorage, which is written at once.
 *
 * Each record belongs to the page that made it. A page holds a Web Lock as long as it lives; what
 * belongs to none is claimed by the next page, in one transaction, so that no two have it.
 *
 * Until something is put nothing is opened, and nothing of the browser's is touched.
 */
export interface Outbox {
  put(event: Event): void;
  remove(events: Event[]): void;
  clear(): void;
  /** The page may end: note what the database may not have yet. */
  leave(): void;
  /** The page is seen again: what was noted is its own once more. */
  stay(): void;
  /** What pages left that are no more. */
  claim(): Promise<Event[]>;
}

interface Record {
  page: string;
  event: Event;
}

export const MAX_KEPT = 1_000;
const STORE = "events";

/** `drop` hears how many of the oldest had to go, where more than `MAX_KEPT` were left. */
export function createOutbox(name: string, drop: (count: number) => void): Outbox {
  const page = name + "_" + uuidv4();
  // No Map: pages have their own.
  let unsaved: { [id: string]: Event } = {};
  let opened: Promise<IDBDatabase> | undefined;
  let release: (() => void) | undefined;
  /** While the page is left; resolves when it goes on. A lock or a transaction would keep it out of the bfcache. */
  let awake: Promise<void> | undefined;
  let wake = () => {};
  // https://developer.mozilla.org/docs/Web/API/Web_Locks_API : only on secure pages.
  const { locks } = navigator;

  function open(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(name);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onerror = reject;
      request.onsuccess = () => {
        const { result } = request;
        // Another page forgets everything.
        result.onversionchange = result.onclose = () => ((opened = undefined), result.close());
        resolve(result);
      };
    });
  }

  /** Do something in one transaction; resolves to whether it was done. */
  async function change(run: (store: IDBObjectStore) => void): Promise<boolean> {
    try {
      await awake;
      const isFirst = !opened;
      opened ||= open();
      const transaction = (await opened).transaction(STORE, "readwrite");
      const store = transaction.objectStore(STORE);
      if (isFirst) prune(store);
      run(store);
      return await new Promise((resolve) => {
        transaction.oncomplete = () => resolve(true);
        transaction.onabort = () => resolve(false);
      });
    } catch {
      return false; // the browser keeps no database for us
    }
  }

  /** The ids are ordered in time: the first are the oldest. */
  function prune(store: IDBObjectStore): void {
    const count = store.count();
    count.onsuccess = () => {
      const tooMany = count.result - MAX_KEPT;
      if (tooMany < 1) return;
      const oldest = store.getAllKeys(null, tooMany);
      oldest.onsuccess = () => oldest.result.forEach((id) => store.delete(id));
      drop(tooMany);
    };
  }

  function hold(): void {
    if (release || !locks || awake) return;
    release = () => {};
    locks.request(page, () => new Promise<void>((resolve) => (release = resolve))).catch(() => {});
  }

  /** What pages noted. */
  function notes(): string[] {
    return (
      attempt(() => Object.keys(localStorage))?.filter((key) => key.startsWith(name + "_") && key.length === page.length) ||
      []
    );
  }

  function forget(key: string): void {
    attempt(() => localStorage.removeItem(key));
  }

  listen(window, "pagehide", () => {
    release?.();
    release = undefined;
    awake = new Promise((resolve) => (wake = resolve));
  });

  return {
    put(event) {
      const id = event.eventId!;
      hold();
      unsaved[id] = event;
      void change((store) => store.put({ page, event }, id)).then((isDone) => isDone && delete unsaved[id]);
    },
    remove(events) {
      const ids = idsOf(events);
      ids.forEach((id) => delete unsaved[id]);
      if (opened) void change((store) => ids.forEach((id) => store.delete(id)));
    },
    clear() {
      unsaved = {};
      notes().forEach(forget);
      if (opened) void change((store) => store.clear());
      else attempt(() => indexedDB.deleteDatabase(name));
    },
    leave() {
      if (Object.keys(unsaved)[0]) attempt(() => (localStorage[page] = JSON.stringify(unsaved)));
      else if (opened) forget(page);
    },
    stay() {
      wake();
      awake = undefined;
      if (!opened) return;
      hold();
      forget(page);
    },
    async claim() {
      const alive = locks ? (await locks.query()).held!.map((lock) => lock.name) : [];
      const isLeft = (owner: string) => owner !== page && !alive.includes(owner);
      const found: { [id: string]: Event } = {};
      for (const key of notes().filter(isLeft)) {
        // As an array, too: pages before this one wrote one.
        attempt(() => Object.values(JSON.parse(localStorage[key]) as typeof found).forEach((event) => (found[event.eventId!] = event)));
        forget(key);
      }
      await change((store) => {
        const all: IDBRequest<Record[]> = store.getAll(null, MAX_KEPT);
        all.onsuccess = () => {
          all.result.forEach(({ page: owner, event }) => isLeft(owner) && (found[event.eventId!] = event));
          Object.values(found).forEach((event) => store.put({ page, event }, event.eventId!));
        };
      });
      return Object.values(found);
    },
  };
}

export function idsOf(events: Event[]): string[] {
  return events.map((event) => event.eventId!);
}
